/* The turns of a connection: send and receive in one step, with the interpreter's lock released once.

   Nothing is decided here. What is not the usual course (a signal apart) is told to the caller, with
   what has been sent until then: rpcgen/runtime/sync/exchange.py and connection.py know what it means. */

#include "turns.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>

typedef struct {
    int fd;
    const char *message;      /* NULL: nothing is to be sent */
    Py_ssize_t size, sent;
    bool receives;
    Py_ssize_t received;      /* below 0: an error */
    int error;                /* of whichever failed */
    char room[ROOM];
} Turn;

/* Sends, and receives if all was sent. 0 unless a signal's handler has raised. */
static int take(Turn *turn)
{
    turn->sent = 0;
    turn->received = -1;
    for (;;) {
        ssize_t done;
        bool sending = turn->sent < turn->size;
        Py_BEGIN_ALLOW_THREADS
        do {
            if (sending) {
                done = send(turn->fd, turn->message, turn->size, 0);
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

/* exchange(fd, message): the bytes of one receive after the message was sent, b"" at the end of the
   connection; else (bytes sent, errno), the errno 0 if only a part was sent. */
static PyObject *exchange(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (count != 2 || !PyBytes_CheckExact(args[1]) || PyBytes_GET_SIZE(args[1]) == 0) {
        PyErr_SetString(PyExc_TypeError, "exchange() takes a descriptor and a message");
        return NULL;
    }
    long fd = PyLong_AsLong(args[0]);
    if (fd == -1 && PyErr_Occurred())
        return NULL;
    Turn turn;
    turn.fd = (int)fd;
    turn.message = PyBytes_AS_STRING(args[1]);
    turn.size = PyBytes_GET_SIZE(args[1]);
    turn.receives = true;
    if (take(&turn) < 0)
        return NULL;
    if (turn.received >= 0)
        return PyBytes_FromStringAndSize(turn.room, turn.received);
    return Py_BuildValue("ni", turn.sent, turn.error);
}

typedef struct {
    PyObject *answers, *waiting, *dispatcher, *serving;
    Py_ssize_t name, message; /* limits */
} Service;

static uint32_t length_at(const char *at)
{
    const unsigned char *p = (const unsigned char *)at;
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* What answers the one whole call that was received, and its arguments (borrowed, new); NULL without an
   error if it is anything else. */
static PyObject *answerer(const Service *service, const Turn *turn, PyObject **arguments)
{
    Py_ssize_t size = turn->received;
    if (size < 8 || size > service->message)
        return NULL;
    uint32_t name = length_at(turn->room);
    if (name > service->name || name > size - 8 || length_at(turn->room + 4 + name) != size - 8 - name)
        return NULL;
    PyObject *text = PyUnicode_DecodeUTF8(turn->room + 4, name, NULL);
    if (text == NULL) {
        PyErr_Clear();
        return NULL;
    }
    PyObject *answer = PyDict_GetItemWithError(service->answers, text);
    Py_DECREF(text);
    if (answer != NULL) {
        *arguments = PyBytes_FromStringAndSize(turn->room + 8 + name, size - 8 - name);
        if (*arguments == NULL)
            return NULL;
    }
    return answer;
}

/* Whether the thread is to leave the connection: others wait for it, or the server is stopping. */
static int is_wanted(const Service *service)
{
    PyObject *waiting = PyObject_CallNoArgs(service->waiting);
    int wanted = waiting ? PyObject_IsTrue(waiting) : -1;
    Py_XDECREF(waiting);
    if (wanted != 0)
        return wanted;
    PyObject *serving = PyObject_GetAttr(service->dispatcher, service->serving);
    int serves = serving ? PyObject_IsTrue(serving) : -1;
    Py_XDECREF(serving);
    return serves < 0 ? -1 : !serves;
}

static bool would_block(const Turn *turn) { return turn->error == EAGAIN || turn->error == EWOULDBLOCK; }

static PyObject *failed(const Turn *turn)
{
    errno = turn->error;
    return PyErr_SetFromErrno(PyExc_OSError);
}

static PyObject *serve_all(const Service *service, Turn *turn)
{
    if (take(turn) < 0)
        return NULL;
    for (;;) {
        if (turn->received < 0)
            return would_block(turn) ? Py_NewRef(Py_None) : failed(turn);
        PyObject *arguments = NULL, *answer = answerer(service, turn, &arguments);
        if (answer == NULL)
            return PyErr_Occurred() ? NULL : PyBytes_FromStringAndSize(turn->room, turn->received);
        Py_INCREF(answer);
        PyObject *reply = PyObject_CallOneArg(answer, arguments);
        Py_DECREF(answer);
        Py_DECREF(arguments);
        if (reply == NULL)
            return NULL;
        if (!PyBytes_Check(reply) || PyBytes_GET_SIZE(reply) == 0) {
            PyErr_SetString(PyExc_TypeError, "an answer is bytes");
            Py_DECREF(reply);
            return NULL;
        }
        int wanted = is_wanted(service);
        turn->receives = !wanted;
        turn->message = PyBytes_AS_STRING(reply);
        turn->size = PyBytes_GET_SIZE(reply);
        if (wanted < 0 || take(turn) < 0) {
            Py_DECREF(reply);
            return NULL;
        }
        if (turn->sent == turn->size && turn->receives) {
            Py_DECREF(reply);
            continue;
        }
        PyObject *given = turn->error && !would_block(turn) ? failed(turn) : Py_BuildValue("On", reply, turn->sent);
        Py_DECREF(reply);
        return given;
    }
}

/* serve(fd, answers, waiting, dispatcher, name, message): receives and answers whole, usual calls while
   they follow each other. Gives what was received if it is anything else (b"" at the end), None if nothing
   came in time, (reply, bytes sent) if it was not sent wholly or the thread is wanted elsewhere. */
static PyObject *serve(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    PyObject **state = PyModule_GetState(module);
    if (count != 6 || !PyDict_CheckExact(args[1])) {
        PyErr_SetString(PyExc_TypeError, "serve() takes a descriptor, answers, waiting, dispatcher and two limits");
        return NULL;
    }
    long fd = PyLong_AsLong(args[0]);
    Service service = {args[1], args[2], args[3], *state, PyLong_AsSsize_t(args[4]), PyLong_AsSsize_t(args[5])};
    if (PyErr_Occurred())
        return NULL;
    /* Not on the stack, which the handlers need. */
    Turn *turn = PyMem_Malloc(sizeof *turn);
    if (turn == NULL)
        return PyErr_NoMemory();
    turn->fd = (int)fd;
    turn->message = NULL;
    turn->size = 0;
    turn->receives = true;
    PyObject *found = serve_all(&service, turn);
    PyMem_Free(turn);
    return found;
}

static int module_exec(PyObject *module)
{
    PyObject **serving = PyModule_GetState(module);
    *serving = PyUnicode_InternFromString("serving");
    return *serving == NULL ? -1 : 0;
}

static int module_clear(PyObject *module)
{
    PyObject **serving = PyModule_GetState(module);
    Py_CLEAR(*serving);
    return 0;
}

static void module_free(void *module) { module_clear(module); }

static PyMethodDef functions[] = {
    {"exchange", (PyCFunction)(void (*)(void))exchange, METH_FASTCALL,
     "exchange(fd, message): sends, and receives once; (bytes sent, errno) where that failed."},
    {"call", (PyCFunction)(void (*)(void))turns_call, METH_FASTCALL,
     "call(fd, frame, id, seconds): sends a CALL, and receives its reply; (bytes sent, errno, data) at anything else."},
    {"serve", (PyCFunction)(void (*)(void))serve, METH_FASTCALL,
     "serve(fd, answers, waiting, dispatcher, name, message): answers usual calls while they follow each other."},
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
    .m_size = sizeof(PyObject *),
    .m_methods = functions,
    .m_slots = slots,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__turns(void) { return PyModuleDef_Init(&definition); }
