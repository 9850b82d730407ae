/*
 * The floor of one call at a time: bytes there and bytes back through blocking sockets, in C.
 *
 * `floor serve` prints its port. `floor call PORT SENT RECEIVED COUNT` prints the median and the 99th
 * percentile of COUNT calls in microseconds. A connection begins with both sizes, in the host's order.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void
fail(const char *what)
{
    perror(what);
    exit(1);
}

/* Reads as much; 0 when the other side has ended. */
static int
read_all(int connection, char *buffer, size_t size)
{
    while (size > 0) {
        ssize_t got = recv(connection, buffer, size, 0);
        if (got < 0)
            fail("recv");
        if (got == 0)
            return 0;
        buffer += got;
        size -= (size_t)got;
    }
    return 1;
}

static void
write_all(int connection, const char *buffer, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(connection, buffer, size, MSG_NOSIGNAL);
        if (sent < 0)
            fail("send");
        buffer += sent;
        size -= (size_t)sent;
    }
}

static void
at_once(int connection)
{
    int on = 1;
    if (setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
        fail("setsockopt");
}

/* On the first processor that this process may use: client and server share one. */
static void
pin(void)
{
    cpu_set_t all, one;
    int number = 0;
    if (sched_getaffinity(0, sizeof all, &all) < 0)
        fail("sched_getaffinity");
    while (!CPU_ISSET(number, &all))
        number++;
    CPU_ZERO(&one);
    CPU_SET(number, &one);
    if (sched_setaffinity(0, sizeof one, &one) < 0)
        fail("sched_setaffinity");
}

static struct sockaddr_in
local(uint16_t port)
{
    struct sockaddr_in address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static char *
buffer_of(size_t size)
{
    char *buffer = calloc(size ? size : 1, 1);
    if (buffer == NULL)
        fail("calloc");
    return buffer;
}

static _Noreturn void
serve(void)
{
    struct sockaddr_in address = local(0);
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(listener, 16) < 0 || getsockname(listener, (struct sockaddr *)&address, &length) < 0)
        fail("listen");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        uint32_t sizes[2];
        int connection = accept(listener, NULL, NULL);
        if (connection < 0)
            fail("accept");
        at_once(connection);
        if (read_all(connection, (char *)sizes, sizeof sizes)) {
            char *call = buffer_of(sizes[0]), *reply = buffer_of(sizes[1]);
            while (read_all(connection, call, sizes[0]))
                write_all(connection, reply, sizes[1]);
            free(call);
            free(reply);
        }
        close(connection);
    }
}

static int
ascending(const void *one, const void *other)
{
    double first = *(const double *)one, second = *(const double *)other;
    return (first > second) - (first < second);
}

static double
microseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int
call(uint16_t port, uint32_t sent, uint32_t received, size_t count)
{
    struct sockaddr_in address = local(port);
    uint32_t sizes[2] = {sent, received};
    char *message = buffer_of(sent), *reply = buffer_of(received);
    double *times = (double *)buffer_of(count * sizeof *times);
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    if (connection < 0 || connect(connection, (struct sockaddr *)&address, sizeof address) < 0)
        fail("connect");
    at_once(connection);
    write_all(connection, (const char *)sizes, sizeof sizes);
    for (size_t number = 0; number < count + count / 10; number++) {
        double begin = microseconds();
        write_all(connection, message, sent);
        if (!read_all(connection, reply, received)) {
            fprintf(stderr, "the server has ended\n");
            return 1;
        }
        if (number >= count / 10)
            times[number - count / 10] = microseconds() - begin;
    }
    qsort(times, count, sizeof *times, ascending);
    printf("%f %f\n", times[count / 2], times[count * 99 / 100]);
    free(message);
    free(reply);
    free(times);
    close(connection);
    return 0;
}

int
main(int count, char **words)
{
    pin();
    if (count == 2 && strcmp(words[1], "serve") == 0)
        serve();
    if (count == 6 && strcmp(words[1], "call") == 0 && atoi(words[5]) > 0)
        return call((uint16_t)atoi(words[2]), (uint32_t)atoi(words[3]), (uint32_t)atoi(words[4]),
                    (size_t)atoi(words[5]));
    fprintf(stderr, "usage: floor serve | floor call PORT SENT RECEIVED COUNT\n");
    return 2;
}
