/* The usual CALL and REPLY of framed connections; see flow.py, whose classes these are. What is not as
   expected is left to the session's own methods, which give the same bytes and events, or the right error. */

#include "codec.h"

#include <stddef.h>
#include <structmember.h>

enum { CALL_WORD = 0x100, REPLY_WORD = 0x200, OVERHEAD = 6, HEAD = 10, SHORTEST = HEAD + 5 };

typedef struct {
    PyObject_HEAD
    PyObject *calls;      /* dict: call id → caller */
    PyObject *running;    /* set of call ids */
    PyObject *out;        /* list of bytes */
    PyObject *name;       /* of the last call that came: the next one is likely to have the same */
    long long last;
    Py_ssize_t quick_in, quick_out;
} Flow;

static PyObject *rare(Flow *flow, const char *method, PyObject *const *args, size_t count)
{
    PyObject *function = PyObject_GetAttrString((PyObject *)flow, method), *result;
    if (function == NULL)
        return NULL;
    result = PyObject_Vectorcall(function, args, count, NULL);
    Py_DECREF(function);
    return result;
}

static PyObject *send_call(Flow *flow, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    /* name, block, milliseconds, metadata, no_reply, caller */
    static const char *const all[] = {"name", "block", "milliseconds", "metadata", "no_reply", "caller"};
    PyObject *given[6] = {NULL, NULL, NULL, Py_None, Py_False, Py_None};
    if (count > 4)
        return PyErr_Format(PyExc_TypeError, "send_call() takes 2 to 4 positional arguments, not %zd", count);
    for (Py_ssize_t place = 0; place < count; place++)
        given[place] = args[place];
    for (Py_ssize_t named = 0; names != NULL && named < PyTuple_GET_SIZE(names); named++) {
        PyObject *name = PyTuple_GET_ITEM(names, named);
        Py_ssize_t place = 5;
        while (place >= count && PyUnicode_CompareWithASCIIString(name, all[place]) != 0)
            place--;
        if (place < count)
            return PyErr_Format(PyExc_TypeError, "send_call() takes no argument %R, or it is given twice", name);
        given[place] = args[count + named];
    }
    if (given[0] == NULL || given[1] == NULL)
        return PyErr_Format(PyExc_TypeError, "send_call() needs a name and a block");

    PyObject *block = given[1], *id = NULL, *frame = NULL;
    unsigned long milliseconds = 0;
    Py_ssize_t name_size, size;
    const char *name;
    if (given[3] != Py_None || given[4] != Py_False || !PyUnicode_CheckExact(given[0]) || !PyBytes_CheckExact(block)
        || PyBytes_GET_SIZE(block) >= flow->quick_out || flow->last < 0 || flow->last >= UINT32_MAX
        || flow->out == NULL || !PyList_CheckExact(flow->out) || flow->calls == NULL
        || !PyDict_CheckExact(flow->calls) || (given[2] != NULL && !PyLong_CheckExact(given[2])))
        goto slow;
    if (given[2] != NULL) {
        milliseconds = PyLong_AsUnsignedLong(given[2]);
        if (milliseconds > UINT32_MAX || (milliseconds == (unsigned long)-1 && PyErr_Occurred()))
            goto slow;
    }
    name = PyUnicode_AsUTF8AndSize(given[0], &name_size);
    if (name == NULL || name_size > 255)
        goto slow;
    size = PyBytes_GET_SIZE(block);
    if (size > UINT32_MAX - SHORTEST - 255)
        goto slow;
    frame = PyBytes_FromStringAndSize(NULL, SHORTEST + name_size + size);
    id = frame ? PyLong_FromLongLong(flow->last + 1) : NULL;
    if (id == NULL || PyDict_SetItem(flow->calls, id, given[5]) < 0)
        goto failed;
    uint8_t *at = (uint8_t *)PyBytes_AS_STRING(frame);
    put32(at, (uint32_t)(SHORTEST - 4 + name_size + size));
    put16(at + 4, CALL_WORD);
    put32(at + 6, (uint32_t)(flow->last + 1));
    at[HEAD] = (uint8_t)name_size;
    copy(at + HEAD + 1, (const uint8_t *)name, name_size);
    put32(at + HEAD + 1 + name_size, (uint32_t)milliseconds);
    copy(at + SHORTEST + name_size, (const uint8_t *)PyBytes_AS_STRING(block), size);
    if (PyList_Append(flow->out, frame) < 0) {
        PyDict_DelItem(flow->calls, id);
        goto failed;
    }
    Py_DECREF(frame);
    flow->last++;
    return id;
failed:
    Py_XDECREF(frame);
    Py_XDECREF(id);
    return NULL;
slow:
    if (PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_Exception))
            return NULL;
        PyErr_Clear();
    }
    PyObject *nothing = given[2] ? NULL : PyLong_FromLong(0), *result;
    if (given[2] == NULL && (given[2] = nothing) == NULL)
        return NULL;
    result = rare(flow, "_send_call", given, 6);
    Py_XDECREF(nothing);
    return result;
}

static PyObject *send_reply(Flow *flow, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    PyObject *given[3] = {count > 0 ? args[0] : NULL, count > 1 ? args[1] : NULL, count > 2 ? args[2] : Py_None};
    if (names != NULL && PyTuple_GET_SIZE(names) == 1 && count == 2
        && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, 0), "metadata") == 0)
        given[2] = args[2];
    else if ((names != NULL && PyTuple_GET_SIZE(names)) || count < 2 || count > 3)
        return PyErr_Format(PyExc_TypeError, "send_reply() takes a call id, a reply and perhaps metadata");
    PyObject *reply = given[1];
    if (given[2] != Py_None || !PyBytes_CheckExact(reply) || !PyLong_CheckExact(given[0]) || flow->out == NULL
        || !PyList_CheckExact(flow->out) || flow->running == NULL || !PySet_CheckExact(flow->running))
        goto slow;
    Py_ssize_t size = PyBytes_GET_SIZE(reply);
    if (size == 0 || size >= flow->quick_out || size > UINT32_MAX - HEAD || !PyBytes_AS_STRING(reply)[0])
        goto slow;
    unsigned long id = PyLong_AsUnsignedLong(given[0]);
    if (id > UINT32_MAX || (id == (unsigned long)-1 && PyErr_Occurred())) {
        PyErr_Clear();
        goto slow;
    }
    PyObject *frame = PyBytes_FromStringAndSize(NULL, HEAD + size);
    if (frame == NULL)
        return NULL;
    uint8_t *at = (uint8_t *)PyBytes_AS_STRING(frame);
    put32(at, (uint32_t)(size + OVERHEAD));
    put16(at + 4, REPLY_WORD);
    put32(at + 6, (uint32_t)id);
    copy(at + HEAD, (const uint8_t *)PyBytes_AS_STRING(reply), size);
    int found = PySet_Discard(flow->running, given[0]);
    if (found == 1 && PyList_Append(flow->out, frame) < 0)
        found = -1;
    Py_DECREF(frame);
    if (found < 0)
        return NULL;
    if (found)
        Py_RETURN_NONE;
slow:
    return rare(flow, "_send_reply", given, 3);
}

/* The arguments that both loops begin with; -1 with an error. */
static int parse_loop(
    const char *what, PyObject *const *args, Py_ssize_t count, Py_ssize_t wanted, Py_ssize_t *pos)
{
    if (count != wanted || !PyBytes_CheckExact(args[0]) || !PyLong_Check(args[1]) || !PyList_CheckExact(args[2])) {
        PyErr_Format(PyExc_TypeError, "%s() takes bytes, a place in them, a list of events, and more", what);
        return -1;
    }
    *pos = PyLong_AsSsize_t(args[1]);
    if (*pos == -1 && PyErr_Occurred())
        return -1;
    if (*pos < 0 || *pos > PyBytes_GET_SIZE(args[0])) {
        PyErr_Format(PyExc_ValueError, "%s(): there is no place %zd", what, *pos);
        return -1;
    }
    return 0;
}

/* Adds an event; takes it. */
static int add(PyObject *events, PyObject *event)
{
    if (event == NULL)
        return -1;
    int added = PyList_Append(events, event);
    Py_DECREF(event);
    return added;
}

static PyObject *take_replies(Flow *flow, PyObject *const *args, Py_ssize_t count)
{
    Py_ssize_t pos;
    if (parse_loop("_take_replies", args, count, 4, &pos) < 0)
        return NULL;
    if (flow->calls == NULL || !PyDict_CheckExact(flow->calls))
        return PyErr_Format(PyExc_TypeError, "the calls of a session are a dict");
    PyObject *events = args[2], *gone = args[3];
    const uint8_t *data = (const uint8_t *)PyBytes_AS_STRING(args[0]);
    Py_ssize_t size = PyBytes_GET_SIZE(args[0]);
    while (pos < size - HEAD) {
        const uint8_t *at = data + pos;
        uint32_t length = get32(at);
        if (get16(at + 4) != REPLY_WORD || length <= OVERHEAD || (int64_t)length > flow->quick_in
            || (int64_t)length > size - pos - 4 || !at[HEAD])
            break;
        PyObject *id = PyLong_FromUnsignedLong(get32(at + 6));
        PyObject *caller = id ? PyDict_GetItemWithError(flow->calls, id) : NULL;
        if (caller == NULL) {
            Py_XDECREF(id);
            if (PyErr_Occurred())
                return NULL;
            break; /* an answer to no call: the session finds the words for it */
        }
        Py_INCREF(caller);
        int failed = PyDict_DelItem(flow->calls, id);
        Py_DECREF(id);
        if (failed == 0 && caller != gone) {
            PyObject *event = PyTuple_New(4), *reply = PyBytes_FromStringAndSize(
                (const char *)at + HEAD, length - OVERHEAD);
            if (event != NULL && reply != NULL) {
                PyTuple_SET_ITEM(event, 0, PyLong_FromLong(REPLY_WORD >> 8));
                PyTuple_SET_ITEM(event, 1, Py_NewRef(caller));
                PyTuple_SET_ITEM(event, 2, reply);
                PyTuple_SET_ITEM(event, 3, Py_NewRef(Py_None));
            } else {
                Py_CLEAR(event);
                Py_XDECREF(reply);
            }
            failed = add(events, event);
        }
        Py_DECREF(caller);
        if (failed < 0)
            return NULL;
        pos += 4 + (Py_ssize_t)length;
    }
    return PyLong_FromSsize_t(pos);
}

/* The name of a method as text, mostly that of the call before; NULL without an error if it is not UTF-8. */
static PyObject *name_at(Flow *flow, const uint8_t *at, Py_ssize_t size)
{
    Py_ssize_t known;
    if (flow->name != NULL) {
        const char *last = PyUnicode_AsUTF8AndSize(flow->name, &known);
        if (last != NULL && known == size && memcmp(last, at, size) == 0)
            return Py_NewRef(flow->name);
        PyErr_Clear();
    }
    PyObject *name = PyUnicode_DecodeUTF8((const char *)at, size, NULL);
    if (name != NULL)
        Py_XSETREF(flow->name, Py_NewRef(name));
    else if (PyErr_ExceptionMatches(PyExc_UnicodeDecodeError))
        PyErr_Clear();
    return name;
}

static PyObject *take_calls(Flow *flow, PyObject *const *args, Py_ssize_t count)
{
    Py_ssize_t pos;
    if (parse_loop("_take_calls", args, count, 6, &pos) < 0)
        return NULL;
    if (flow->running == NULL || !PySet_CheckExact(flow->running))
        return PyErr_Format(PyExc_TypeError, "the calls that run are a set");
    PyObject *events = args[2];
    const uint8_t *data = (const uint8_t *)PyBytes_AS_STRING(args[0]);
    Py_ssize_t size = PyBytes_GET_SIZE(args[0]), room = PyLong_AsSsize_t(args[5]);
    if (room == -1 && PyErr_Occurred())
        return NULL;
    while (room && pos <= size - SHORTEST) {
        const uint8_t *at = data + pos;
        Py_ssize_t name_size = at[HEAD], begin = SHORTEST + name_size;
        uint32_t length = get32(at), id = get32(at + 6), milliseconds;
        if (get16(at + 4) != CALL_WORD || (int64_t)length > flow->quick_in || (int64_t)length > size - pos - 4
            || begin > (Py_ssize_t)length + 4 || id <= flow->last)
            break;
        PyObject *name = name_at(flow, at + HEAD + 1, name_size);
        if (name == NULL) {
            if (PyErr_Occurred())
                return NULL;
            break;
        }
        milliseconds = get32(at + HEAD + 1 + name_size);
        PyObject *deadline = NULL;
        if (milliseconds == 0) {
            deadline = Py_NewRef(Py_None);
        } else {
            double began = PyFloat_AsDouble(args[pos ? 4 : 3]);
            if (began != -1.0 || !PyErr_Occurred())
                deadline = PyFloat_FromDouble(began + milliseconds / 1000.0);
        }
        PyObject *block = PyBytes_FromStringAndSize((const char *)at + begin, (Py_ssize_t)length + 4 - begin);
        PyObject *number = PyLong_FromUnsignedLong(id), *event = PyTuple_New(7);
        if (deadline == NULL || block == NULL || number == NULL || event == NULL
            || PySet_Add(flow->running, number) < 0) {
            Py_DECREF(name);
            Py_XDECREF(deadline);
            Py_XDECREF(block);
            Py_XDECREF(number);
            Py_XDECREF(event);
            return NULL;
        }
        PyTuple_SET_ITEM(event, 0, PyLong_FromLong(CALL_WORD >> 8));
        PyTuple_SET_ITEM(event, 1, number);
        PyTuple_SET_ITEM(event, 2, name);
        PyTuple_SET_ITEM(event, 3, deadline);
        PyTuple_SET_ITEM(event, 4, block);
        PyTuple_SET_ITEM(event, 5, Py_NewRef(Py_None));
        PyTuple_SET_ITEM(event, 6, Py_NewRef(Py_False));
        if (add(events, event) < 0)
            return NULL;
        flow->last = id;
        room--;
        pos += 4 + (Py_ssize_t)length;
    }
    return PyLong_FromSsize_t(pos);
}

static int flow_traverse(Flow *flow, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(flow));
    Py_VISIT(flow->calls);
    Py_VISIT(flow->running);
    Py_VISIT(flow->out);
    return 0;
}

static int flow_clear(Flow *flow)
{
    Py_CLEAR(flow->calls);
    Py_CLEAR(flow->running);
    Py_CLEAR(flow->out);
    return 0;
}

static void flow_dealloc(Flow *flow)
{
    PyTypeObject *type = Py_TYPE(flow);
    PyObject_GC_UnTrack(flow);
    flow_clear(flow);
    Py_CLEAR(flow->name);
    type->tp_free(flow);
    Py_DECREF(type);
}

static PyMemberDef flow_members[] = {
    {"_calls", T_OBJECT_EX, offsetof(Flow, calls), 0, "A client's: call id → caller."},
    {"_running", T_OBJECT_EX, offsetof(Flow, running), 0, "A server's: ids of calls that run."},
    {"_out", T_OBJECT_EX, offsetof(Flow, out), 0, "What is to be sent."},
    {"_last", T_LONGLONG, offsetof(Flow, last), 0, "The highest call id so far."},
    {"_quick_in", T_PYSSIZET, offsetof(Flow, quick_in), 0, "Lengths up to which frames are taken."},
    {"_quick_out", T_PYSSIZET, offsetof(Flow, quick_out), 0, "Bytes below which payloads are sent."},
    {NULL},
};

static PyType_Slot flow_slots[] = {
    {Py_tp_doc, "What the flat ways of either end read and write."},
    {Py_tp_dealloc, flow_dealloc},
    {Py_tp_traverse, flow_traverse},
    {Py_tp_clear, flow_clear},
    {Py_tp_members, flow_members},
    {0, NULL},
};

PyType_Spec flow_spec = {
    .name = "rpcgen.runtime.wire._codec.Flow",
    .basicsize = sizeof(Flow),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = flow_slots,
};

static PyMethodDef client_methods[] = {
    {"send_call", (PyCFunction)(void (*)(void))send_call, METH_FASTCALL | METH_KEYWORDS,
     "send_call(name, block, milliseconds=0, metadata=None, *, no_reply=False, caller=None): queues a call."},
    {"_take_replies", (PyCFunction)(void (*)(void))take_replies, METH_FASTCALL,
     "_take_replies(data, pos, events, gone): where the first frame begins that is no usual REPLY."},
    {NULL},
};

static PyType_Slot client_slots[] = {
    {Py_tp_doc, "A client's: calls out, replies in."},
    {Py_tp_methods, client_methods},
    {0, NULL},
};

/* No memory of their own: so a session can have one of these beside the base that it shares with the other. */
PyType_Spec client_flow_spec = {
    .name = "rpcgen.runtime.wire._codec.ClientFlow",
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = client_slots,
};

static PyMethodDef server_methods[] = {
    {"send_reply", (PyCFunction)(void (*)(void))send_reply, METH_FASTCALL | METH_KEYWORDS,
     "send_reply(call_id, reply, metadata=None): queues the answer to a call."},
    {"_take_calls", (PyCFunction)(void (*)(void))take_calls, METH_FASTCALL,
     "_take_calls(data, pos, events, first, now, room): where the first frame begins that is no usual CALL."},
    {NULL},
};

static PyType_Slot server_slots[] = {
    {Py_tp_doc, "A server's: calls in, replies out."},
    {Py_tp_methods, server_methods},
    {0, NULL},
};

PyType_Spec server_flow_spec = {
    .name = "rpcgen.runtime.wire._codec.ServerFlow",
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = server_slots,
};
