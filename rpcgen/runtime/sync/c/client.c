/* A client's turn with a framed call: its frame out, its REPLY in. What is not exactly that is told as it is. */

#include "turns.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>

enum { HEAD = 10, SHORTEST = HEAD + 5, LONGEST = 4096, REPLY_WORD = 0x200 };

/* Milliseconds left of so many seconds, rounded up; 0 for 0: no deadline. */
static uint32_t milliseconds(double seconds)
{
    double left = ceil(seconds * 1000);
    return left >= UINT32_MAX ? UINT32_MAX : left > 0 ? (uint32_t)left : 0;
}

static uint32_t get(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put(unsigned char *p, uint32_t n)
{
    p[0] = (unsigned char)(n >> 24);
    p[1] = (unsigned char)(n >> 16);
    p[2] = (unsigned char)(n >> 8);
    p[3] = (unsigned char)n;
}

/* call(fd, frame, id, seconds): the bytes of the reply; else (bytes sent, errno, bytes received), whichever
   comes first of: not all was sent, the receive failed, something else was received. */
PyObject *turns_call(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (count != 4 || !PyBytes_CheckExact(args[1]) || PyBytes_GET_SIZE(args[1]) < SHORTEST) {
        PyErr_SetString(PyExc_TypeError, "call() takes a descriptor, a CALL, its id and the seconds left");
        return NULL;
    }
    long fd = PyLong_AsLong(args[0]);
    long long id = PyLong_AsLongLong(args[2]);
    double seconds = PyFloat_AsDouble(args[3]);
    if (PyErr_Occurred())
        return NULL;
    const unsigned char *frame = (const unsigned char *)PyBytes_AS_STRING(args[1]);
    Py_ssize_t size = PyBytes_GET_SIZE(args[1]), sent = 0, received = -1;
    if (size > LONGEST || size < SHORTEST + frame[HEAD])
        return PyErr_Format(PyExc_ValueError, "call() takes a whole CALL of at most %d bytes", LONGEST);
    if (id < 1 || id > UINT32_MAX)
        return Py_BuildValue("niy#", (Py_ssize_t)0, EOVERFLOW, "", (Py_ssize_t)0);
    unsigned char out[LONGEST], in[ROOM];
    memcpy(out, frame, size);
    put(out + 6, (uint32_t)id);
    put(out + HEAD + 1 + frame[HEAD], milliseconds(seconds));
    int error;
    do {
        error = 0;
        Py_BEGIN_ALLOW_THREADS
        ssize_t done = sent ? size : send((int)fd, out, size, MSG_NOSIGNAL);
        if (done < 0) {
            error = errno;
        } else {
            sent = done;
            if (sent == size && (received = recv((int)fd, in, ROOM, 0)) < 0)
                error = errno;
        }
        Py_END_ALLOW_THREADS
        if (error == EINTR && PyErr_CheckSignals() < 0)
            return NULL;
    } while (error == EINTR);
    if (received > HEAD && get(in) == received - 4 && in[4] == REPLY_WORD >> 8 && in[5] == 0
        && get(in + 6) == (uint32_t)id && in[HEAD])
        return PyBytes_FromStringAndSize((const char *)in + HEAD, received - HEAD);
    return Py_BuildValue("niy#", sent, error, (const char *)in, received > 0 ? received : (Py_ssize_t)0);
}
