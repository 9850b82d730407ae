/* The turns of a connection: send and receive in one step, with the interpreter's lock released once.

   Nothing is decided here. What is not the usual course (a signal apart) is told to the caller, with
   what has been sent until then: the modules of rpcgen/runtime/sync that call these know what it means. */

#include "turns.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

/* Sends, and receives if all was sent. 0 unless a signal's handler has raised. */
int take(Turn *turn)
{
    turn->sent = 0;
    turn->received = -1;
    for (;;) {
        ssize_t done;
        bool sending = turn->sent < turn->size;
        Py_BEGIN_ALLOW_THREADS
        do {
            if (sending) {
                done = send(turn->fd, turn->message, turn->size, MSG_NOSIGNAL);
                if (done < 0 || (turn->sent = done) < turn->size || !turn->receives)
                    break;
                sending = false;
            }
            done = recv(turn->fd, turn->room, ROOM, 0);
        } while (0);
        turn->error = done < 0 ? errno : 0;
        Py_END_ALLOW_THREADS
        if (turn->error == EINTR) {
            if (PyErr_CheckSignals() < 0)
                return -1;
            continue;
        }
        if (!sending)
            turn->received = done;
        return 0;
    }
}

/* Seconds of the clock that time.monotonic has. */
double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + time.tv_nsec / 1e9;
}

static bool would_block(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

/* Waits for room or bytes, for so many milliseconds and until a time (0: for ever) at most; gives 0 or an errno. */
int wait_for(int fd, short what, int quiet, double until)
{
    if (until > 0) {
        double left = (until - now()) * 1000;
        if (left <= 0)
            return EAGAIN;
        if (quiet < 0 || left < quiet)
            quiet = left < INT32_MAX - 1 ? (int)left + 1 : INT32_MAX;
    }
    struct pollfd poll_fd = {.fd = fd, .events = what};
    int ready = poll(&poll_fd, 1, quiet);
    return ready > 0 ? 0 : ready == 0 ? EAGAIN : errno;
}

static void advance(Sending *sending, size_t done)
{
    sending->sent += (Py_ssize_t)done;
    for (int index = 0; index < sending->count; index++) {
        struct iovec *piece = &sending->pieces[index];
        size_t part = done < piece->iov_len ? done : piece->iov_len;
        piece->iov_base = (char *)piece->iov_base + part;
        piece->iov_len -= part;
        done -= part;
    }
}

static bool is_sent(const Sending *sending)
{
    size_t left = 0;
    for (int index = 0; index < sending->count; index++)
        left += sending->pieces[index].iov_len;
    return left == 0;
}

/* Sends, until a time (0: for ever) if it waits itself; else once, in the socket's own time. Gives 0 or an errno;
   below 0 a signal's handler has raised. */
int send_pieces(Sending *sending, double until, bool waits)
{
    int error;
    do {
        error = 0;
        Py_BEGIN_ALLOW_THREADS
        while (error == 0 && !is_sent(sending)) {
            struct msghdr message = {.msg_iov = sending->pieces, .msg_iovlen = sending->count};
            ssize_t done = sendmsg(sending->fd, &message, MSG_NOSIGNAL | (waits ? MSG_DONTWAIT : 0));
            error = done < 0 ? errno : 0;
            if (done >= 0) {
                advance(sending, (size_t)done);
                error = waits || is_sent(sending) ? 0 : EAGAIN;
            } else if (waits && would_block(error))
                error = wait_for(sending->fd, POLLOUT, -1, until);
        }
        Py_END_ALLOW_THREADS
        if (error == EINTR && PyErr_CheckSignals() < 0)
            return -1;
    } while (error == EINTR);
    return error;
}

/* Bytes for which a thread is woken while a long message comes: not for every packet, of which each would cost it more
   than the copy does. */
#define WORTH_WAKING (1024 * 1024)

/* Has a thread woken for so many bytes; ``low`` is how many it takes now. */
static void wake_at(int fd, Py_ssize_t bytes, int *low)
{
#ifdef __linux__
    int least = bytes < WORTH_WAKING ? (int)bytes : WORTH_WAKING;
    if (least != *low && setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &least, sizeof least) == 0)
        *low = least;
#endif
}

/* Receives while bytes follow each other within so many milliseconds, and until a time; gives how many there are then.
   Why the others did not come is the caller's to find out. Below 0 a signal's handler has raised. */
static Py_ssize_t fill(const Begun *begun, char *room, Py_ssize_t size, Py_ssize_t filled)
{
    int error, low = 1;
    bool late = false;
    do {
        error = 0;
        Py_BEGIN_ALLOW_THREADS
        while (error == 0 && filled < size) {
            ssize_t done = recv(begun->fd, room + filled, size - filled, MSG_DONTWAIT);
            if (done > 0) {
                filled += done;
                late = false;
            } else if (done == 0) {
                break;
            } else if (would_block(error = errno) && !late) {
                wake_at(begun->fd, size - filled, &low);
                error = wait_for(begun->fd, POLLIN, begun->quiet, begun->until);
                /* Less than it was to be woken for may have come. */
                if ((late = error == EAGAIN))
                    error = 0;
            }
        }
        Py_END_ALLOW_THREADS
        if (error == EINTR && PyErr_CheckSignals() < 0) {
            filled = -1;
            break;
        }
    } while (error == EINTR);
    wake_at(begun->fd, 1, &low);
    return filled;
}

/* What a long message holds from a place on, once its rest is received: in two pieces if its last value is long. NULL
   without an error if not all of it came: then ``come`` is what did, from the message's beginning. */
PyObject *rest_of(const State *state, const Begun *begun, PyObject **come)
{
    Py_ssize_t size = begun->size, begin = begun->begin, tail = begun->tail, from = tail ? tail : begin;
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, size - from), *rest = NULL, *head;
    if (bytes == NULL)
        return NULL;
    memcpy(PyBytes_AS_STRING(bytes), begun->room + from, begun->received - from);
    Py_ssize_t filled = fill(begun, PyBytes_AS_STRING(bytes), size - from, begun->received - from);
    if (filled < 0) {
        /* Nobody reads on where a signal's handler has raised. */
    } else if (filled < size - from) {
        *come = joined(begun->room, from, PyBytes_AS_STRING(bytes), filled);
    } else if (!tail) {
        return bytes;
    } else if ((head = PyBytes_FromStringAndSize(begun->room + begin, tail - begin)) != NULL) {
        rest = PyObject_CallFunctionObjArgs(state->tailed, head, bytes, NULL);
        Py_DECREF(head);
    }
    Py_DECREF(bytes);
    return rest;
}

PyObject *joined(const char *first, Py_ssize_t first_size, const char *second, Py_ssize_t second_size)
{
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, first_size + second_size);
    if (bytes != NULL) {
        memcpy(PyBytes_AS_STRING(bytes), first, first_size);
        memcpy(PyBytes_AS_STRING(bytes) + first_size, second, second_size);
    }
    return bytes;
}

/* The pieces of a message, the tail NULL if it has one; -1 with an error. */
int two_pieces(const State *state, PyObject *message, PyObject **head, PyObject **tail)
{
    *tail = NULL;
    if (PyBytes_CheckExact(message)) {
        *head = Py_NewRef(message);
        return 0;
    }
    if ((PyObject *)Py_TYPE(message) != state->tailed) {
        PyErr_Format(PyExc_TypeError, "a message is bytes, or Tailed, not %.100s", Py_TYPE(message)->tp_name);
        return -1;
    }
    *head = PyObject_GetAttr(message, state->head);
    *tail = *head ? PyObject_GetAttr(message, state->tail) : NULL;
    if (*tail == NULL) {
        Py_CLEAR(*head);
        return -1;
    }
    return 0;
}

static PyObject *imported(const char *module, const char *name)
{
    PyObject *found = PyImport_ImportModule(module);
    PyObject *value = found ? PyObject_GetAttrString(found, name) : NULL;
    Py_XDECREF(found);
    return value;
}

static int module_exec(PyObject *module)
{
    State *state = PyModule_GetState(module);
    const struct {
        PyObject **name;
        const char *text;
    } names[] = {
        {&state->serving, "serving"}, {&state->reply, "reply"}, {&state->head, "head"}, {&state->tail, "tail"},
        {&state->call, "_call"}, {&state->drop, "_drop"}, {&state->tidy, "_tidy"}, {&state->notes, "__notes__"}};
    for (size_t index = 0; index < sizeof names / sizeof *names; index++)
        if ((*names[index].name = PyUnicode_InternFromString(names[index].text)) == NULL)
            return -1;
    PyObject *calls = PyType_FromModuleAndSpec(module, &calls_spec, NULL);
    state->line = (PyTypeObject *)PyType_FromModuleAndSpec(module, &line_spec, NULL);
    int failed = calls == NULL || state->line == NULL || PyModule_AddType(module, state->line) < 0
        || PyModule_AddType(module, (PyTypeObject *)calls) < 0;
    Py_XDECREF(calls);
    if (failed)
        return -1;
    state->tailed = imported("rpcgen.runtime.wire._codec", "Tailed");
    state->declared = (PyTypeObject *)imported("rpcgen.runtime.errors", "RemoteException");
    return state->tailed == NULL || state->declared == NULL ? -1 : 0;
}

static int module_clear(PyObject *module)
{
    State *state = PyModule_GetState(module);
    Py_CLEAR(state->serving);
    Py_CLEAR(state->reply);
    Py_CLEAR(state->head);
    Py_CLEAR(state->tail);
    Py_CLEAR(state->call);
    Py_CLEAR(state->drop);
    Py_CLEAR(state->tidy);
    Py_CLEAR(state->notes);
    Py_CLEAR(state->tailed);
    Py_CLEAR(state->line);
    Py_CLEAR(state->declared);
    return 0;
}

static void module_free(void *module) { module_clear(module); }

static PyMethodDef functions[] = {
    {"exchange", (PyCFunction)(void (*)(void))turns_exchange, METH_FASTCALL,
     "exchange(fd, message, seconds, tail, longest): sends, and receives once, or a long reply that ends with its "
     "value; (bytes sent, errno) where that failed."},
    {"call", (PyCFunction)(void (*)(void))turns_call, METH_FASTCALL,
     "call(fd, frame, id, seconds, longest): sends a CALL, and receives its reply; (bytes sent, errno, data) at "
     "anything else."},
    {"serve", (PyCFunction)(void (*)(void))turns_serve, METH_FASTCALL,
     "serve(fd, answers, waiting, dispatcher, context, name, message): answers usual calls while they follow each "
     "other."},
    {"serve_frames", (PyCFunction)(void (*)(void))turns_serve_frames, METH_FASTCALL,
     "serve_frames(fd, answers, waiting, dispatcher, context, claim, enter, leave, last, longest, shortest): does so "
     "with frames."},
    {NULL},
};

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, module_exec},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "rpcgen.runtime.sync._turns",
    .m_doc = "The turns of a connection in C.",
    .m_size = sizeof(State),
    .m_methods = functions,
    .m_slots = slots,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__turns(void) { return PyModuleDef_Init(&definition); }
