/* Long messages in two pieces: the head, up to the length of the last value, and the tail, the bytes of that
   value, which are an object by themselves. So long bytes are sent from where they are, and received where they
   will be: nothing copies them from one memory to another. */

#include "codec.h"

#include <stddef.h>
#include <structmember.h>

PyObject *tailed_new(PyTypeObject *type, PyObject *head, PyObject *tail)
{
    Tailed *made = head ? (Tailed *)type->tp_alloc(type, 0) : NULL;
    if (made == NULL) {
        Py_XDECREF(head);
        return NULL;
    }
    made->head = head;
    made->tail = Py_NewRef(tail);
    return (PyObject *)made;
}

static PyObject *tailed_make(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *head, *tail;
    static char *names[] = {"head", "tail", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "SS:Tailed", names, &head, &tail))
        return NULL;
    return tailed_new(type, Py_NewRef(head), tail);
}

static void tailed_dealloc(Tailed *message)
{
    PyTypeObject *type = Py_TYPE(message);
    Py_XDECREF(message->head);
    Py_XDECREF(message->tail);
    Py_XDECREF(message->whole);
    type->tp_free(message);
    Py_DECREF(type);
}

/* One piece, made when it is first asked for: who looks at a message as a whole pays for the copy. */
static PyObject *whole(Tailed *message)
{
    if (message->whole == NULL) {
        PyObject *joined = Py_NewRef(message->head);
        PyBytes_Concat(&joined, message->tail);
        message->whole = joined;
    }
    return message->whole;
}

static PyObject *tailed_bytes(Tailed *message, PyObject *unused) { return Py_XNewRef(whole(message)); }

static Py_ssize_t tailed_length(Tailed *message)
{
    return PyBytes_GET_SIZE(message->head) + PyBytes_GET_SIZE(message->tail);
}

/* An index or a slice without a step. What lies in the head, or reaches from there to the end, is not joined. */
static PyObject *tailed_item(Tailed *message, PyObject *key)
{
    Py_ssize_t size = PyBytes_GET_SIZE(message->head), begin, end, step;
    if (PyIndex_Check(key)) {
        Py_ssize_t place = PyNumber_AsSsize_t(key, PyExc_IndexError);
        if (place == -1 && PyErr_Occurred())
            return NULL;
        if (place >= 0 && place < size)
            return PyLong_FromLong((uint8_t)PyBytes_AS_STRING(message->head)[place]);
    } else if (PySlice_Check(key)) {
        if (PySlice_Unpack(key, &begin, &end, &step) < 0)
            return NULL;
        Py_ssize_t count = PySlice_AdjustIndices(tailed_length(message), &begin, &end, step);
        if (step == 1 && begin <= size && (end <= size || end == tailed_length(message))) {
            Py_ssize_t in_head = end <= size ? count : size - begin;
            PyObject *head = PyBytes_FromStringAndSize(PyBytes_AS_STRING(message->head) + begin, in_head);
            return end <= size ? head : tailed_new(Py_TYPE(message), head, message->tail);
        }
    }
    PyObject *bytes = whole(message);
    return bytes ? PyObject_GetItem(bytes, key) : NULL;
}

static int tailed_buffer(Tailed *message, Py_buffer *view, int flags)
{
    PyObject *bytes = whole(message);
    if (bytes == NULL) {
        view->obj = NULL;
        return -1;
    }
    return PyBuffer_FillInfo(
        view, (PyObject *)message, PyBytes_AS_STRING(bytes), PyBytes_GET_SIZE(bytes), 1, flags);
}

static PyObject *tailed_compare(Tailed *message, PyObject *other, int how)
{
    if ((how != Py_EQ && how != Py_NE) || !PyObject_CheckBuffer(other))
        Py_RETURN_NOTIMPLEMENTED;
    PyObject *bytes = whole(message), *view = bytes ? PyMemoryView_FromObject(other) : NULL;
    PyObject *same = view ? PyObject_RichCompare(view, bytes, how) : NULL;
    Py_XDECREF(view);
    return same;
}

static PyMemberDef tailed_members[] = {
    {"head", T_OBJECT_EX, offsetof(Tailed, head), READONLY, "All up to the length of the last value."},
    {"tail", T_OBJECT_EX, offsetof(Tailed, tail), READONLY, "The bytes of that value."},
    {NULL},
};

static PyMethodDef tailed_methods[] = {
    {"__bytes__", (PyCFunction)tailed_bytes, METH_NOARGS, "__bytes__(): both pieces as one."},
    {NULL},
};

static PyType_Slot tailed_slots[] = {
    {Py_tp_doc, "Tailed(head, tail): a message in two pieces, as bytes where it is looked at as a whole."},
    {Py_tp_new, tailed_make},
    {Py_tp_dealloc, tailed_dealloc},
    {Py_tp_members, tailed_members},
    {Py_tp_methods, tailed_methods},
    {Py_tp_richcompare, tailed_compare},
    {Py_tp_hash, PyObject_HashNotImplemented},
    {Py_mp_length, tailed_length},
    {Py_mp_subscript, tailed_item},
    {Py_bf_getbuffer, tailed_buffer},
    {0, NULL},
};

PyType_Spec tailed_spec = {
    .name = "rpcgen.runtime.wire._codec.Tailed",
    .basicsize = sizeof(Tailed),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = tailed_slots,
};

/* Incoming: bytes that are still to be received. */

typedef struct {
    PyObject_HEAD
    PyObject *bytes;
} Incoming;

static PyObject *incoming_make(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    Py_ssize_t size;
    static char *names[] = {"size", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "n:Incoming", names, &size))
        return NULL;
    if (size < LARGE)
        return PyErr_Format(PyExc_ValueError, "Incoming() is for %d bytes and more", LARGE);
    State *state = PyType_GetModuleState(type);
    Incoming *made = (Incoming *)type->tp_alloc(type, 0);
    if (made != NULL && (made->bytes = bytes_to_receive(&state->received, size)) == NULL)
        Py_CLEAR(made);
    return (PyObject *)made;
}

static void incoming_dealloc(Incoming *incoming)
{
    PyTypeObject *type = Py_TYPE(incoming);
    Py_XDECREF(incoming->bytes);
    type->tp_free(incoming);
    Py_DECREF(type);
}

static int incoming_buffer(Incoming *incoming, Py_buffer *view, int flags)
{
    if (incoming->bytes == NULL) {
        view->obj = NULL;
        PyErr_SetString(PyExc_BufferError, "the bytes have been taken: nothing may change them any more");
        return -1;
    }
    return PyBuffer_FillInfo(
        view, (PyObject *)incoming, PyBytes_AS_STRING(incoming->bytes), PyBytes_GET_SIZE(incoming->bytes), 0, flags);
}

/* Views that are left may be looked into still: they keep this object, which lets go of the bytes last. */
static PyObject *incoming_taken(Incoming *incoming, PyObject *unused)
{
    return Py_NewRef(incoming->bytes);
}

static PyMethodDef incoming_methods[] = {
    {"taken", (PyCFunction)incoming_taken, METH_NOARGS, "taken(): the bytes; nothing may write to them from now on."},
    {NULL},
};

static PyType_Slot incoming_slots[] = {
    {Py_tp_doc, "Incoming(size): memory to receive into, which is bytes afterwards."},
    {Py_tp_new, incoming_make},
    {Py_tp_dealloc, incoming_dealloc},
    {Py_tp_methods, incoming_methods},
    {Py_bf_getbuffer, incoming_buffer},
    {0, NULL},
};

PyType_Spec incoming_spec = {
    .name = "rpcgen.runtime.wire._codec.Incoming",
    .basicsize = sizeof(Incoming),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = incoming_slots,
};

/* tail_begin(data, pos): where the last value begins of the frame that begins at pos, as find_tail has it; or 0. */
PyObject *tail_begin(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (count != 2 || !PyBytes_CheckExact(args[0])) {
        PyErr_SetString(PyExc_TypeError, "tail_begin() takes bytes and a place in them");
        return NULL;
    }
    Py_ssize_t pos = PyLong_AsSsize_t(args[1]), there = PyBytes_GET_SIZE(args[0]);
    if (pos < 0 || pos > there) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "tail_begin(): there is no such place");
        return NULL;
    }
    Py_ssize_t found = find_tail((const uint8_t *)PyBytes_AS_STRING(args[0]) + pos, there - pos);
    return PyLong_FromSsize_t(found ? pos + found : 0);
}
