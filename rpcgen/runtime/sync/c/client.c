/* A client's turn with a framed call: its frame out, its REPLY in, both of any length. What is not exactly that is
   told as it is. */

#include "turns.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

enum { SHORTEST = FRAME_HEAD + 5, SHORT = 4096 };

/* Milliseconds left of so many seconds, rounded up; 0 for 0: no deadline. */
static uint32_t milliseconds(double seconds)
{
    double left = ceil(seconds * 1000);
    return left >= UINT32_MAX ? UINT32_MAX : left > 0 ? (uint32_t)left : 0;
}

/* Milliseconds in which the next part of a long reply comes, and seconds in which all of it does; else it is left to
   the caller, who knows how long to wait. */
#define QUIET 50
#define MOST 1.0

/* call(fd, frame, id, seconds, longest): the reply; else (bytes sent, errno, bytes received), whichever comes first
   of: not all was sent, the receive failed, something else was received, or not all of a long reply in time. A frame
   of at most SHORT bytes is sent at once, which fills no buffer; a longer one within the seconds. */
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
    return call_once(PyModule_GetState(module), (int)fd, args[1], id, seconds, longest);
}

PyObject *call_once(
    const State *state, int fd, PyObject *message, long long id, double seconds, Py_ssize_t longest)
{
    PyObject *head, *tail;
    if (two_pieces(state, message, &head, &tail) < 0)
        return NULL;
    const unsigned char *frame = (const unsigned char *)PyBytes_AS_STRING(head);
    Py_ssize_t size = PyBytes_GET_SIZE(head), lead, received = -1, sent = 0;
    PyObject *found = NULL, *come = NULL;
    unsigned char out[SHORT], in[ROOM];
    double until = seconds > 0 ? now() + seconds : 0;
    int error;
    if (size < SHORTEST || size < (lead = SHORTEST + frame[FRAME_HEAD])) {
        PyErr_SetString(PyExc_ValueError, "call() takes a whole CALL");
        goto done;
    }
    if (id < 1 || id > UINT32_MAX) {
        found = Py_BuildValue("niy#", (Py_ssize_t)0, EOVERFLOW, "", (Py_ssize_t)0);
        goto done;
    }
    bool is_short = tail == NULL && size <= SHORT;
    memcpy(out, frame, is_short ? size : lead);
    put_big_endian(out + 6, (uint32_t)id);
    put_big_endian(out + lead - 4, milliseconds(seconds));
    if (!is_short) {
        Sending sending = {
            fd,
            {{out, lead}, {(void *)(frame + lead), size - lead}, {tail ? PyBytes_AS_STRING(tail) : NULL, 0}},
            3, 0};
        sending.pieces[2].iov_len = tail ? PyBytes_GET_SIZE(tail) : 0;
        error = send_pieces(&sending, until, true);
        if (error != 0) {
            if (error > 0)
                found = Py_BuildValue("niy#", sending.sent, error, "", (Py_ssize_t)0);
            goto done;
        }
        sent = sending.sent;
    }
    do {
        error = 0;
        Py_BEGIN_ALLOW_THREADS
        ssize_t done = sent ? size : send(fd, out, size, MSG_NOSIGNAL);
        if (done < 0) {
            error = errno;
        } else {
            sent = sent ? sent : done;
            /* What the socket waits by itself is the whole time of the call, of which sending took some. */
            if (until > 0 && !is_short)
                error = wait_for(fd, POLLIN, -1, until);
            if (error == 0 && sent >= size && (received = recv(fd, in, ROOM, 0)) < 0)
                error = errno;
        }
        Py_END_ALLOW_THREADS
        if (error == EINTR && PyErr_CheckSignals() < 0)
            goto done;
    } while (error == EINTR);
    if (received > FRAME_HEAD && in[4] == REPLY_FRAME >> 8 && in[5] == 0 && big_endian(in + 6) == (uint32_t)id && in[FRAME_HEAD]) {
        if (big_endian(in) == received - 4) {
            found = PyBytes_FromStringAndSize((const char *)in + FRAME_HEAD, received - FRAME_HEAD);
            goto done;
        }
        if (big_endian(in) > received - 4 && (int64_t)big_endian(in) - FRAME_HEAD + 4 <= longest) {
            double latest = now() + MOST;
            Begun begun = {
                fd, (const char *)in, received, QUIET, until > 0 && until < latest ? until : latest};
            found = rest_of(state, &begun, FRAME_HEAD, &come);
            if (come != NULL)
                found = Py_BuildValue("niN", sent, 0, come);
            goto done;
        }
    }
    found = Py_BuildValue("niy#", sent, error, (const char *)in, received > 0 ? received : (Py_ssize_t)0);
done:
    Py_DECREF(head);
    Py_XDECREF(tail);
    return found;
}
