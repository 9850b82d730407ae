/* The turns of a connection: send and receive in one step, with the interpreter's lock released once.

   Nothing is decided here. What is not the usual course (a signal apart) is told to the caller, with
   what has been sent until then: the modules of rpcgen/runtime/sync that call these know what it means. */

#include "turns.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/types.h>

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

static int module_exec(PyObject *module)
{
    State *state = PyModule_GetState(module);
    state->serving = PyUnicode_InternFromString("serving");
    state->reply = PyUnicode_InternFromString("reply");
    return state->serving == NULL || state->reply == NULL ? -1 : 0;
}

static int module_clear(PyObject *module)
{
    State *state = PyModule_GetState(module);
    Py_CLEAR(state->serving);
    Py_CLEAR(state->reply);
    return 0;
}

static void module_free(void *module) { module_clear(module); }

static PyMethodDef functions[] = {
    {"exchange", (PyCFunction)(void (*)(void))exchange, METH_FASTCALL,
     "exchange(fd, message): sends, and receives once; (bytes sent, errno) where that failed."},
    {"call", (PyCFunction)(void (*)(void))turns_call, METH_FASTCALL,
     "call(fd, frame, id, seconds): sends a CALL, and receives its reply; (bytes sent, errno, data) at anything else."},
    {"serve", (PyCFunction)(void (*)(void))turns_serve, METH_FASTCALL,
     "serve(fd, answers, waiting, dispatcher, context, name, message): answers usual calls while they follow each "
     "other."},
    {"serve_frames", (PyCFunction)(void (*)(void))turns_serve_frames, METH_FASTCALL,
     "serve_frames(fd, answers, waiting, dispatcher, context, claim, last, longest, shortest): does so with frames."},
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
