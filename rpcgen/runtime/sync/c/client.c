/* A client's turns: its call out, the reply in, both of any length. What is not exactly that is told as it is. */

#include "turns.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

/* A message of at most SHORT bytes is sent at once: it fills no idle socket's buffer, whose least size is 4.6 KiB. */
enum { SHORTEST = FRAME_HEAD + 5, SHORT = 4096 };

/* Milliseconds left of so many seconds, rounded up; 0 for 0: no deadline. */
static uint32_t milliseconds(double seconds)
{
    double left = ceil(seconds * 1000);
    return left >= UINT32_MAX ? UINT32_MAX : left > 0 ? (uint32_t)left : 0;
}

/* Sends what is longer than SHORT until a time (0: for ever), and receives once; -1 with an error. */
static int take_long(Turn *turn, Sending *sending, double until)
{
    int error = send_pieces(sending, until, true);
    /* What the socket waits by itself is the whole time of the call, of which sending took some. */
    while (error == 0 && until > 0) {
        Py_BEGIN_ALLOW_THREADS
        error = wait_for(turn->fd, POLLIN, -1, until);
        Py_END_ALLOW_THREADS
        if (error != EINTR)
            break;
        error = PyErr_CheckSignals();
    }
    turn->message = NULL;
    turn->size = 0;
    turn->received = -1;
    turn->error = error;
    if (error == 0)
        error = take(turn);
    turn->sent = sending->sent;
    return error < 0 ? -1 : 0;
}

/* Milliseconds in which the next part of a long reply comes, and seconds in which all of it does; else it is left to
   the caller, who knows how long to wait. */
#define QUIET 50
#define MOST 1.0

/* What a reply of so many bytes holds from a place on; NULL without an error if not all of it came, as in rest_of. */
static PyObject *long_reply(
    const State *state, const Turn *turn, Py_ssize_t size, Py_ssize_t begin, Py_ssize_t tail, double until,
    PyObject **come)
{
    double latest = now() + MOST;
    Begun begun = {
        turn->fd, turn->room, turn->received, size, begin, tail, QUIET, until > 0 && until < latest ? until : latest};
    return rest_of(state, &begun, come);
}

/* Plain messages */

/* exchange(fd, message, seconds, tail, longest): the bytes of one receive after the message was sent, b"" at the end of
   the connection; else (bytes sent, errno), the errno 0 if only a part was sent. What the method returns may be bytes,
   whose length then stands at ``tail`` of the reply (0: it returns no bytes). Of a reply that ends with long ones all is
   received, and given in two pieces, up to so many bytes in all, and as much as comes in time. */
PyObject *turns_exchange(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (count != 5) {
        PyErr_SetString(
            PyExc_TypeError,
            "exchange() takes a descriptor, a message, the seconds left, a place in replies and the longest one");
        return NULL;
    }
    long fd = PyLong_AsLong(args[0]);
    double seconds = PyFloat_AsDouble(args[2]);
    Py_ssize_t tail = PyLong_AsSsize_t(args[3]), longest = PyLong_AsSsize_t(args[4]);
    if (PyErr_Occurred())
        return NULL;
    return make_exchange(PyModule_GetState(module), (int)fd, args[1], seconds, tail, longest);
}

/* Bytes of the reply that has begun to come and ends with a long value, whose length stands at a place; else 0. */
static Py_ssize_t size_by_tail(const Turn *turn, Py_ssize_t tail, Py_ssize_t longest)
{
    if (tail < 1 || tail > 2 || turn->received < tail + 4 || turn->room[0] != 1 || turn->room[tail - 1] != 1)
        return 0;
    int64_t value = number_at(turn->room + tail), size = tail + 4 + value;
    return value >= LARGE && size > turn->received && size <= longest ? (Py_ssize_t)size : 0;
}

PyObject *make_exchange(
    const State *state, int fd, PyObject *message, double seconds, Py_ssize_t tail, Py_ssize_t longest)
{
    PyObject *head, *last, *found, *come = NULL;
    if (two_pieces(state, message, &head, &last) < 0)
        return NULL;
    double until = seconds > 0 ? now() + seconds : 0;
    Turn turn;
    turn.fd = fd;
    turn.receives = true;
    turn.message = PyBytes_AS_STRING(head);
    turn.size = PyBytes_GET_SIZE(head);
    int failed = -1;
    if (turn.size == 0) {
        PyErr_SetString(PyExc_ValueError, "a plain message has some bytes");
    } else if (last == NULL && turn.size <= SHORT) {
        failed = take(&turn);
    } else {
        Sending sending = {fd, {piece_of(head), piece_of(last)}, 2, 0};
        failed = take_long(&turn, &sending, until);
    }
    Py_DECREF(head);
    Py_XDECREF(last);
    if (failed < 0)
        return NULL;
    if (turn.received < 0)
        return Py_BuildValue("ni", turn.sent, turn.error);
    Py_ssize_t size = size_by_tail(&turn, tail, longest);
    if (size == 0)
        return PyBytes_FromStringAndSize(turn.room, turn.received);
    found = long_reply(state, &turn, size, 0, tail + 4, until, &come);
    return come ? come : found;
}

/* Frames */

/* call(fd, frame, id, seconds, longest): the reply; else (bytes sent, errno, bytes received), whichever comes first
   of: not all was sent, the receive failed, something else was received, or not all of a long reply in time. */
PyObject *turns_call(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (count != 5) {
        PyErr_SetString(
            PyExc_TypeError, "call() takes a descriptor, a CALL, its id, the seconds left and the longest reply");
        return NULL;
    }
    long fd = PyLong_AsLong(args[0]);
    long long id = PyLong_AsLongLong(args[2]);
    double seconds = PyFloat_AsDouble(args[3]);
    Py_ssize_t longest = PyLong_AsSsize_t(args[4]);
    if (PyErr_Occurred())
        return NULL;
    return make_call(PyModule_GetState(module), (int)fd, args[1], id, seconds, longest);
}

/* Sends a CALL, with its id and time, and receives once; -1 with an error. */
static int take_call(Turn *turn, PyObject *head, PyObject *tail, long long id, double seconds, double until)
{
    const char *frame = PyBytes_AS_STRING(head);
    Py_ssize_t size = PyBytes_GET_SIZE(head), lead;
    unsigned char out[SHORT];
    if (size < SHORTEST || size < (lead = SHORTEST + (unsigned char)frame[FRAME_HEAD])) {
        PyErr_SetString(PyExc_ValueError, "call() takes a whole CALL");
        return -1;
    }
    if (id < 1 || id > UINT32_MAX) {
        turn->sent = 0;
        turn->received = -1;
        turn->error = EOVERFLOW;
        return 0;
    }
    bool is_short = tail == NULL && size <= SHORT;
    memcpy(out, frame, is_short ? size : lead);
    put_big_endian(out + 6, (uint32_t)id);
    put_big_endian(out + lead - 4, milliseconds(seconds));
    if (is_short) {
        turn->message = (char *)out;
        turn->size = size;
        return take(turn);
    }
    Sending sending = {turn->fd, {{out, lead}, {(void *)(frame + lead), size - lead}, piece_of(tail)}, 3, 0};
    return take_long(turn, &sending, until);
}

PyObject *make_call(
    const State *state, int fd, PyObject *message, long long id, double seconds, Py_ssize_t longest)
{
    PyObject *head, *tail, *come = NULL;
    if (two_pieces(state, message, &head, &tail) < 0)
        return NULL;
    double until = seconds > 0 ? now() + seconds : 0;
    Turn turn;
    turn.fd = fd;
    turn.receives = true;
    int failed = take_call(&turn, head, tail, id, seconds, until);
    Py_DECREF(head);
    Py_XDECREF(tail);
    if (failed < 0)
        return NULL;
    const uint8_t *in = (const uint8_t *)turn.room;
    Py_ssize_t received = turn.received;
    if (received > FRAME_HEAD && in[4] == REPLY_FRAME >> 8 && in[5] == 0 && big_endian(in + 6) == (uint32_t)id
        && in[FRAME_HEAD]) {
        int64_t size = (int64_t)big_endian(in) + 4;
        if (size == received)
            return PyBytes_FromStringAndSize(turn.room + FRAME_HEAD, received - FRAME_HEAD);
        if (size > received && size - FRAME_HEAD <= longest) {
            Py_ssize_t value = find_tail(in, received);
            PyObject *found = long_reply(state, &turn, (Py_ssize_t)size, FRAME_HEAD, value, until, &come);
            return come ? Py_BuildValue("niN", turn.sent, 0, come) : found;
        }
    }
    return Py_BuildValue("niy#", turn.sent, turn.error, turn.room, received > 0 ? received : (Py_ssize_t)0);
}
