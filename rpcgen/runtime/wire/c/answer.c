/* From the arguments of a call to its reply, around the handler. Nothing is judged here: arguments that
   do not decode, exceptions that are not declared and results that do not fit go to Python functions. */

#include "codec.h"

#include <stddef.h>
#include <structmember.h>

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    Method *method;
    Bounds bounds;
    PyObject *handler;
    PyObject *whole;      /* answers a call that this cannot, from its arguments on */
    PyObject *failed;     /* gives the reply to an exception of the handler */
    PyObject *returned;   /* gives the reply to a value */
    PyObject *rest;       /* given a coroutine that waits, and for what, gives what goes on; None: none is begun */
} Answer;

/* Takes the exception that is being raised. */
static PyObject *caught(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *exception, *traceback;
    PyErr_Fetch(&type, &exception, &traceback);
    PyErr_NormalizeException(&type, &exception, &traceback);
    if (traceback != NULL && exception != NULL)
        PyException_SetTraceback(exception, traceback);
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return exception;
#endif
}

/* Asks a Python function, after an error that is not the interpreter's own. */
static PyObject *asked(PyObject *function, PyObject *value)
{
    if (PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_Exception))
            return NULL;
        PyErr_Clear();
    }
    return PyObject_CallOneArg(function, value);
}

static PyObject *reply_to_exception(Answer *answer)
{
    Method *method = answer->method;
    Writer writer = {.bytes = NULL};
    uint8_t small[SMALL];
    PyObject *exception = caught(), *reply;
    if (exception == NULL)
        return NULL;
    if (begin(&writer, method, small, method->sizes[2], answer->bounds.room) == 0
        && write_raised(&writer, method, exception) == 0) {
        reply = finished(&writer, &method->sizes[2]);
    } else {
        Py_XDECREF(writer.bytes);
        reply = asked(answer->failed, exception);
    }
    Py_DECREF(exception);
    return reply;
}

static PyObject *reply_to_value(Answer *answer, PyObject *value)
{
    Method *method = answer->method;
    Writer writer = {.bytes = NULL};
    uint8_t small[SMALL];
    if (RARE(has_long_reply(method, value))) {
        PyObject *reply = long_reply(method, value);
        return reply ? reply : asked(answer->returned, value);
    }
    if (begin(&writer, method, small, method->sizes[1], answer->bounds.room) == 0
        && write_reply(&writer, method, value) == 0)
        return finished(&writer, &method->sizes[1]);
    Py_XDECREF(writer.bytes);
    return asked(answer->returned, value);
}

static PyObject *answer_call(PyObject *self, PyObject *const *args, size_t flags, PyObject *names)
{
    Answer *answer = (Answer *)self;
    if (PyVectorcall_NARGS(flags) != 1 || (names != NULL && PyTuple_GET_SIZE(names))) {
        PyErr_SetString(PyExc_TypeError, "an answer takes the arguments of a call, as bytes");
        return NULL;
    }
    const Shape *shape = answer->method->arguments;
    /* One place before the first, which a bound method may use. */
    PyObject *few[9], **values = few, *value = NULL, *reply;
    if (shape->places > 8 && (values = PyMem_New(PyObject *, shape->places + 1)) == NULL)
        return PyErr_NoMemory();
    memset(values++, 0, (shape->places + 1) * sizeof *values);
    int read = read_arguments(answer->method, args[0], &answer->bounds, values);
    if (read == 0)
        value = PyObject_Vectorcall(
            answer->handler, values, shape->places | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    for (Py_ssize_t place = 0; place < shape->places; place++)
        Py_XDECREF(values[place]);
    if (--values != few)
        PyMem_Free(values);
    if (read < 0)
        return asked(answer->whole, args[0]);
    if (value != NULL && answer->rest != Py_None && PyCoro_CheckExact(value)) {
        PyObject *coroutine = value;
        PySendResult sent = PyIter_Send(coroutine, Py_None, &value);
        if (sent == PYGEN_NEXT) {
            reply = PyObject_CallFunctionObjArgs(answer->rest, coroutine, value, NULL);
            Py_DECREF(value);
            Py_DECREF(coroutine);
            return reply;
        }
        Py_DECREF(coroutine);
    }
    if (value == NULL)
        return reply_to_exception(answer);
    reply = reply_to_value(answer, value);
    Py_DECREF(value);
    return reply;
}

/* answer(handler, limits, whole, failed, returned, rest) of a Method; None where the limits are strange. */
PyObject *answer_new(Method *method, PyObject *const *args, Py_ssize_t count)
{
    Bounds bounds;
    if (count != 6)
        return PyErr_Format(PyExc_TypeError, "answer() takes a handler, limits and four functions");
    if (parse_limits(args[1], &bounds) < 0)
        Py_RETURN_NONE;
    Answer *answer = (Answer *)method->answer->tp_alloc(method->answer, 0);
    if (answer == NULL)
        return NULL;
    answer->call = answer_call;
    answer->method = (Method *)Py_NewRef((PyObject *)method);
    answer->bounds = bounds;
    answer->handler = Py_NewRef(args[0]);
    answer->whole = Py_NewRef(args[2]);
    answer->failed = Py_NewRef(args[3]);
    answer->returned = Py_NewRef(args[4]);
    answer->rest = Py_NewRef(args[5]);
    return (PyObject *)answer;
}

static int answer_traverse(Answer *answer, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(answer));
    Py_VISIT((PyObject *)answer->method);
    Py_VISIT(answer->handler);
    Py_VISIT(answer->whole);
    Py_VISIT(answer->failed);
    Py_VISIT(answer->returned);
    Py_VISIT(answer->rest);
    return 0;
}

static void answer_dealloc(Answer *answer)
{
    PyTypeObject *type = Py_TYPE(answer);
    PyObject_GC_UnTrack(answer);
    Py_XDECREF((PyObject *)answer->method);
    Py_XDECREF(answer->handler);
    Py_XDECREF(answer->whole);
    Py_XDECREF(answer->failed);
    Py_XDECREF(answer->returned);
    Py_XDECREF(answer->rest);
    type->tp_free(answer);
    Py_DECREF(type);
}

static PyMemberDef answer_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Answer, call), READONLY, NULL},
    {NULL},
};

static PyType_Slot answer_slots[] = {
    {Py_tp_doc, "Turns the arguments of a call into its reply."},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_dealloc, answer_dealloc},
    {Py_tp_traverse, answer_traverse},
    {Py_tp_members, answer_members},
    {0, NULL},
};

PyType_Spec answer_spec = {
    .name = "rpcgen.runtime.wire._codec.Answer",
    .basicsize = sizeof(Answer),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_IMMUTABLETYPE
        | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = answer_slots,
};
