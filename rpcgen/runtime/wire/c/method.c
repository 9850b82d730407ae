/* Method: one method's calls and replies. What is not as expected goes to ``slow``, the reference's
   functions, whole: they give the right result or raise the right error. */

#include "codec.h"

PyObject *ask(Method *method, Message message, PyObject *value, PyObject *limits)
{
    if (PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_Exception))
            return NULL; /* KeyboardInterrupt and its like are nobody's to judge */
        PyErr_Clear();
    }
    PyObject *args[] = {value, limits ? limits : method->limits};
    PyObject *const *given = value ? args : args + 1;
    return PyObject_Vectorcall(PyTuple_GET_ITEM(method->slow, message), given, value ? 2 : 1, NULL);
}

static int as_bound(PyObject *limits, Py_ssize_t place, int64_t *bound)
{
    PyObject *number = PyTuple_GET_ITEM(limits, place);
    int overflow;
    if (!PyLong_Check(number))
        return -1;
    *bound = PyLong_AsLongLongAndOverflow(number, &overflow);
    if (overflow > 0)
        *bound = INT64_MAX;
    return overflow < 0 || *bound < 0 ? -1 : 0;
}

/* -1 where the limits are none that this can count with. */
int parse_limits(PyObject *limits, Bounds *bounds)
{
    int64_t message, items, nesting;
    if (!PyTuple_Check(limits) || PyTuple_GET_SIZE(limits) < 4)
        return -1;
    /* The order of rpc.Limits: name, message, items, nesting. */
    if (as_bound(limits, 1, &message) < 0 || as_bound(limits, 2, &items) < 0 || as_bound(limits, 3, &nesting) < 0)
        return -1;
    bounds->message = message;
    bounds->items = items > PY_SSIZE_T_MAX ? PY_SSIZE_T_MAX : (Py_ssize_t)items;
    bounds->room = nesting > MOST_NESTING ? MOST_NESTING : (int)nesting;
    return 0;
}

static INLINE int bounds_of(const Method *method, PyObject *limits, Bounds *bounds)
{
    if (RARE(limits != NULL && limits != method->limits))
        return parse_limits(limits, bounds);
    *bounds = method->bounds;
    return 0;
}

/* The value and the limits, NULL where the caller gives none; -1 with an error. */
static int parse(
    PyObject *const *args, Py_ssize_t count, PyObject *names, const char *what, PyObject **value, PyObject **limits)
{
    *limits = NULL;
    if (count == 1 && names == NULL) {
        *value = args[0];
        return 0;
    }
    if (count == 2)
        *limits = args[1];
    if (RARE(names != NULL) && PyTuple_GET_SIZE(names) == 1 && count == 1
        && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, 0), "limits") == 0)
        *limits = args[1];
    else if (RARE((names != NULL && PyTuple_GET_SIZE(names)) || count < 1 || count > 2)) {
        PyErr_Format(PyExc_TypeError, "%s() takes a value and perhaps limits", what);
        return -1;
    }
    *value = args[0];
    return 0;
}

/* A call message: plain (CALL, or PLAIN where it may be in two pieces) or as a frame (FRAME); or its arguments alone
   (BLOCK). */
static INLINE PyObject *encode(
    Method *method, PyObject *const *args, Py_ssize_t count, PyObject *names, Message kind, const char *what)
{
    PyObject *value, *limits, *values;
    Bounds bounds;
    Writer writer;
    uint8_t small[SMALL];
    if (parse(args, count, names, what, &value, &limits) < 0)
        return NULL;
    if (bounds_of(method, limits, &bounds) < 0)
        return ask(method, kind, value, limits);
    /* A copy of a list: conversions run Python code, which might change it. */
    values = PyTuple_CheckExact(value) ? Py_NewRef(value) : PyList_CheckExact(value) ? PyList_AsTuple(value) : NULL;
    if (values == NULL)
        return ask(method, kind, value, limits);
    const uint8_t *prefix = (const uint8_t *)PyBytes_AS_STRING(method->prefix);
    Py_ssize_t name = PyBytes_GET_SIZE(method->prefix) - 4, start = kind == BLOCK ? 0 : name + (kind == FRAME ? CALL_HEAD : 8);
    uint64_t size;
    PyObject *tail = NULL, *head;
    Shape before;
    const Shape *shape = method->arguments;
    writer.bytes = NULL;
    if (PyTuple_GET_SIZE(values) != shape->places || (kind == FRAME && name > 255)
        || begin(&writer, method, small, method->sizes[0], bounds.room) < 0 || have_room(&writer, start) < 0)
        goto slow;
    if (kind == FRAME) {
        memset(writer.at, 0, start);
        put16(writer.at + 4, 0x100);
        writer.at[10] = (uint8_t)name;
        memcpy(writer.at + 11, prefix + 4, name);
    } else if (kind != BLOCK) {
        memcpy(writer.at, prefix, name + 4);
    }
    writer.at += start;
    if (kind != CALL && method->last != NULL && is_long(PyTuple_GET_ITEM(values, method->last->place))) {
        tail = PyTuple_GET_ITEM(values, method->last->place);
        before = *shape;
        before.count--;
        shape = &before;
    }
    if (write_fields(&writer, shape, NULL, PySequence_Fast_ITEMS(values), method->default_) < 0)
        goto slow;
    if (RARE(tail != NULL)) {
        if (have_room(&writer, 5) < 0)
            goto slow;
        *writer.at = method->last->tag;
        put32(writer.at + 1, (uint32_t)PyBytes_GET_SIZE(tail));
        writer.at += 5;
    }
    size = (uint64_t)(written(&writer) - (kind == FRAME ? 4 : start)) + (tail ? PyBytes_GET_SIZE(tail) : 0);
    if (size > UINT32_MAX)
        goto slow;
    if (kind != BLOCK)
        put32(writer.begin + (kind == FRAME ? 0 : start - 4), (uint32_t)size);
    head = finished(&writer, &method->sizes[0]);
    if (RARE(tail != NULL))
        head = tailed_new(method->tailed, head, tail);
    Py_DECREF(values);
    return head;
slow:
    Py_DECREF(values);
    Py_XDECREF(writer.bytes);
    return ask(method, kind, value, limits);
}

static PyObject *encode_call(Method *method, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    return encode(method, args, count, names, CALL, "encode_call");
}

static PyObject *encode_plain(Method *method, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    return encode(method, args, count, names, PLAIN, "encode_plain");
}

static PyObject *encode_frame(Method *method, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    return encode(method, args, count, names, FRAME, "encode_frame");
}

static PyObject *encode_block(Method *method, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    return encode(method, args, count, names, BLOCK, "encode_block");
}

/* The whole reply that returns a value. */
int write_reply(Writer *writer, const Method *method, PyObject *value)
{
    if (have_room(writer, 2) < 0)
        return -1;
    *writer->at++ = 1;
    if (method->optional)
        *writer->at++ = value != Py_None;
    if (method->result == NULL)
        return value == Py_None ? 0 : -1;
    return method->optional && value == Py_None ? 0 : write_value(writer, method->result, value);
}

/* The whole reply that raises an exception of exactly a declared class. */
int write_raised(Writer *writer, const Method *method, PyObject *exception)
{
    PyObject *number = PyDict_GetItemWithError(method->raised, (PyObject *)Py_TYPE(exception));
    long kind = number ? PyLong_AsLong(number) : -1;
    if (kind < 2 || kind > 255 || kind - 2 >= PyTuple_GET_SIZE(method->raises) || have_room(writer, 1) < 0)
        return -1;
    *writer->at++ = (uint8_t)kind;
    return write_value(writer, (Shape *)PyTuple_GET_ITEM(method->raises, kind - 2), exception);
}

PyObject *long_reply(const Method *method, PyObject *value)
{
    uint8_t head[6] = {1, 1}, *at = head + (method->optional ? 2 : 1);
    if ((uint64_t)PyBytes_GET_SIZE(value) > UINT32_MAX)
        return NULL;
    put32(at, (uint32_t)PyBytes_GET_SIZE(value));
    return tailed_new(method->tailed, PyBytes_FromStringAndSize((const char *)head, at + 4 - head), value);
}

/* Whether the method returns an even record, which the limits then allow: replies of one size. */
static INLINE bool has_even_reply(const Method *method, PyObject *limits)
{
    return method->result != NULL && method->result->even && !method->optional
        && (limits == NULL || limits == method->limits) && method->bounds.room > 0 && method->bounds.items > 0;
}

static PyObject *encode_reply(Method *method, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    PyObject *value, *limits;
    Bounds bounds;
    Writer writer = {.bytes = NULL};
    uint8_t small[SMALL];
    if (parse(args, count, names, "encode_reply", &value, &limits) < 0)
        return NULL;
    if (RARE(has_long_reply(method, value))) {
        PyObject *reply = long_reply(method, value);
        return reply ? reply : ask(method, REPLY, value, limits);
    }
    if (has_even_reply(method, limits)) {
        PyObject *reply = even_reply(method->result, value);
        if (reply != NULL)
            return reply;
    }
    if (bounds_of(method, limits, &bounds) < 0 || begin(&writer, method, small, method->sizes[1], bounds.room) < 0
        || write_reply(&writer, method, value) < 0) {
        Py_XDECREF(writer.bytes);
        return ask(method, REPLY, value, limits);
    }
    return finished(&writer, &method->sizes[1]);
}

static PyObject *encode_raised(Method *method, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    PyObject *value, *limits;
    Bounds bounds;
    Writer writer = {.bytes = NULL};
    uint8_t small[SMALL];
    if (parse(args, count, names, "encode_raised", &value, &limits) < 0)
        return NULL;
    if (bounds_of(method, limits, &bounds) < 0 || begin(&writer, method, small, method->sizes[2], bounds.room) < 0
        || write_raised(&writer, method, value) < 0) {
        Py_XDECREF(writer.bytes);
        return ask(method, RAISED, value, limits);
    }
    return finished(&writer, &method->sizes[2]);
}

/* What is read may change meanwhile, if it is no bytes and a conversion runs Python code; its size cannot. */
int begin_reading(Reader *reader, PyObject *data, const Bounds *bounds, Py_buffer *view)
{
    view->obj = NULL;
    if (PyBytes_CheckExact(data)) {
        reader->at = (const uint8_t *)PyBytes_AS_STRING(data);
        reader->end = reader->at + PyBytes_GET_SIZE(data);
    } else if (PyByteArray_CheckExact(data) || PyMemoryView_Check(data)) {
        if (PyObject_GetBuffer(data, view, PyBUF_SIMPLE) < 0) {
            view->obj = NULL;
            return -1;
        }
        reader->at = view->buf;
        reader->end = reader->at + view->len;
    } else {
        return -1;
    }
    reader->items = bounds->items;
    reader->room = bounds->room;
    return 0;
}

/* The arguments of a call by their places; what is filled before -1 is the caller's to release, too. */
int read_arguments(const Method *method, PyObject *data, const Bounds *bounds, PyObject **values)
{
    if (RARE(Py_IS_TYPE(data, method->tailed)))
        return read_tailed_fields((Tailed *)data, bounds, method->arguments, values);
    Reader reader;
    Py_buffer view;
    if (begin_reading(&reader, data, bounds, &view) < 0)
        return -1;
    int read = read_fields(&reader, method->arguments, values, true);
    done_reading(&view);
    return read;
}

static PyObject *decode_args(Method *method, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    PyObject *value, *limits, *list = NULL;
    Bounds bounds;
    if (parse(args, count, names, "decode_args", &value, &limits) < 0)
        return NULL;
    if (bounds_of(method, limits, &bounds) < 0)
        return ask(method, ARGUMENTS, value, limits);
    const Shape *shape = method->arguments;
    PyObject *few[8], **values = few;
    if (shape->places > 8 && (values = PyMem_New(PyObject *, shape->places)) == NULL)
        return PyErr_NoMemory();
    memset(values, 0, shape->places * sizeof *values);
    if (read_arguments(method, value, &bounds, values) == 0 && (list = PyList_New(shape->places)) != NULL)
        for (Py_ssize_t place = 0; place < shape->places; place++) {
            PyList_SET_ITEM(list, place, values[place]);
            values[place] = NULL;
        }
    for (Py_ssize_t place = 0; place < shape->places; place++)
        Py_XDECREF(values[place]);
    if (values != few)
        PyMem_Free(values);
    return list ? list : ask(method, ARGUMENTS, value, limits);
}

/* Reads what stands before a reply's value, and says what that is: NULL for nothing. -1: it is no reply. */
static INLINE int begin_reply(const Method *method, Reader *reader, const Shape **shape)
{
    if (reader->at == reader->end)
        return -1;
    uint8_t kind = *reader->at++;
    if (kind == 1) {
        *shape = method->result;
        if (method->optional) {
            if (reader->at == reader->end || *reader->at > 1)
                return -1;
            if (*reader->at++ == 0)
                *shape = NULL;
        }
    } else if (kind > 1 && kind - 2 < PyTuple_GET_SIZE(method->raises)) {
        *shape = (Shape *)PyTuple_GET_ITEM(method->raises, kind - 2);
    } else {
        return -1;
    }
    return 0;
}

static PyObject *read_reply(const Method *method, Reader *reader)
{
    const Shape *shape;
    if (begin_reply(method, reader, &shape) < 0)
        return NULL;
    PyObject *value = shape ? read_value(reader, shape) : Py_NewRef(Py_None);
    if (value != NULL && reader->at != reader->end)
        Py_CLEAR(value);
    return value;
}

/* One whose value is the tail. */
static APART PyObject *read_tailed_reply(const Method *method, const Tailed *message, const Bounds *bounds)
{
    const Shape *shape;
    const uint8_t *head = (const uint8_t *)PyBytes_AS_STRING(message->head);
    Reader reader = {head, head + PyBytes_GET_SIZE(message->head), bounds->items, bounds->room};
    if (begin_reply(method, &reader, &shape) < 0 || shape == NULL || reader.end - reader.at != 4
        || (Py_ssize_t)get32(reader.at) != PyBytes_GET_SIZE(message->tail))
        return NULL;
    return read_tail(&reader, shape, message->tail);
}

/* A whole reply's value, or NULL. */
static PyObject *reply(Method *method, PyObject *data, PyObject *limits)
{
    Bounds bounds;
    Reader reader;
    Py_buffer view;
    if (has_even_reply(method, limits) && PyBytes_CheckExact(data)) {
        PyObject *value = read_even_reply(method->result, data);
        if (value != NULL || PyErr_Occurred())
            return value;
    }
    if (bounds_of(method, limits, &bounds) < 0)
        return NULL;
    if (RARE(Py_IS_TYPE(data, method->tailed)))
        return read_tailed_reply(method, (Tailed *)data, &bounds);
    if (begin_reading(&reader, data, &bounds, &view) < 0)
        return NULL;
    PyObject *value = read_reply(method, &reader);
    done_reading(&view);
    return value;
}

static PyObject *decode_reply(Method *method, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    PyObject *data, *limits;
    if (parse(args, count, names, "decode_reply", &data, &limits) < 0)
        return NULL;
    PyObject *value = reply(method, data, limits);
    return value ? value : ask(method, RESULT, data, limits);
}

static PyObject *quick_reply(Method *method, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    PyObject *data, *limits;
    if (parse(args, count, names, "quick_reply", &data, &limits) < 0)
        return NULL;
    PyObject *value = reply(method, data, limits);
    return value ? value : ask(method, QUICK, data, limits);
}

static PyObject *reply_scan(Method *method, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    PyObject *none[] = {NULL, NULL}, *unused, *limits;
    if (count == 0 && (names == NULL || PyTuple_GET_SIZE(names) == 0)) {
        limits = NULL;
    } else if (count == 1 && names == NULL) {
        limits = args[0];
    } else {
        none[1] = args[0];
        if (parse(none, count + 1, names, "reply_scan", &unused, &limits) < 0)
            return NULL;
    }
    Bounds bounds;
    if (bounds_of(method, limits, &bounds) < 0)
        return ask(method, SCAN, NULL, limits);
    return scan_new(method, limits, &bounds);
}

static int method_traverse(Method *method, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(method));
    Py_VISIT((PyObject *)method->arguments);
    Py_VISIT((PyObject *)method->result);
    Py_VISIT(method->raises);
    Py_VISIT(method->raised);
    Py_VISIT(method->slow);
    Py_VISIT(method->default_);
    Py_VISIT(method->limits);
    Py_VISIT((PyObject *)method->scan);
    Py_VISIT((PyObject *)method->answer);
    Py_VISIT((PyObject *)method->tailed);
    return 0;
}

static void method_dealloc(Method *method)
{
    PyTypeObject *type = Py_TYPE(method);
    PyObject_GC_UnTrack(method);
    Py_XDECREF(method->prefix);
    Py_XDECREF((PyObject *)method->arguments);
    Py_XDECREF((PyObject *)method->result);
    Py_XDECREF(method->raises);
    Py_XDECREF(method->raised);
    Py_XDECREF(method->slow);
    Py_XDECREF(method->default_);
    Py_XDECREF(method->limits);
    Py_XDECREF((PyObject *)method->scan);
    Py_XDECREF((PyObject *)method->answer);
    Py_XDECREF((PyObject *)method->tailed);
    type->tp_free(method);
    Py_DECREF(type);
}

static PyObject *method_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    State *state = PyType_GetModuleState(type);
    PyObject *name, *arguments, *result, *raises, *raised, *slow, *default_, *limits;
    int optional;
    if (state == NULL)
        return NULL;
    if ((keywords != NULL && PyDict_GET_SIZE(keywords)) || !PyArg_ParseTuple(args, "O!O!OpO!O!O!OO:Method",
            &PyBytes_Type, &name, state->shape, &arguments, &result, &optional, &PyTuple_Type, &raises,
            &PyDict_Type, &raised, &PyTuple_Type, &slow, &default_, &limits)) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "Method takes no keywords");
        return NULL;
    }
    bool fits = PyTuple_GET_SIZE(slow) == PLAIN + 1 && (result == Py_None || Py_IS_TYPE(result, state->shape));
    for (Py_ssize_t index = 0; index < PyTuple_GET_SIZE(raises); index++)
        fits = fits && Py_IS_TYPE(PyTuple_GET_ITEM(raises, index), state->shape);
    if (!fits || ((Shape *)arguments)->kind != K_RECORD)
        return PyErr_Format(PyExc_TypeError, "a Method is made of Shapes, and a function for each message");
    PyObject *prefix = PyBytes_FromStringAndSize(NULL, PyBytes_GET_SIZE(name) + 4);
    Method *method = prefix ? (Method *)type->tp_alloc(type, 0) : NULL;
    if (method == NULL) {
        Py_XDECREF(prefix);
        return NULL;
    }
    put32((uint8_t *)PyBytes_AS_STRING(prefix), (uint32_t)PyBytes_GET_SIZE(name));
    memcpy(PyBytes_AS_STRING(prefix) + 4, PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name));
    method->prefix = prefix;
    method->spares = state->spares;
    method->arguments = (Shape *)Py_NewRef(arguments);
    method->result = result == Py_None ? NULL : (Shape *)Py_NewRef(result);
    method->optional = optional;
    method->raises = Py_NewRef(raises);
    method->raised = Py_NewRef(raised);
    method->slow = Py_NewRef(slow);
    method->default_ = Py_NewRef(default_);
    method->limits = Py_NewRef(limits);
    method->scan = (PyTypeObject *)Py_NewRef((PyObject *)state->scan);
    method->answer = (PyTypeObject *)Py_NewRef((PyObject *)state->answer);
    method->tailed = (PyTypeObject *)Py_NewRef((PyObject *)state->tailed);
    const Field *last = method->arguments->count ? &method->arguments->fields[method->arguments->count - 1] : NULL;
    if (last != NULL && last->absence != GONE && last->left_out == NULL && last->shape->kind == K_BYTES)
        method->last = last;
    if (parse_limits(limits, &method->bounds) < 0) {
        Py_DECREF(method);
        return PyErr_Format(PyExc_TypeError, "these are no limits: %R", limits);
    }
    return (PyObject *)method;
}

#define FUNCTION(NAME, DOC) {#NAME, (PyCFunction)(void (*)(void))NAME, METH_FASTCALL | METH_KEYWORDS, DOC}

static PyMethodDef method_methods[] = {
    FUNCTION(encode_call, "encode_call(args, limits=…): a whole call message."),
    FUNCTION(encode_plain, "encode_plain(args, limits=…): the same, in two pieces if its last argument is long."),
    FUNCTION(encode_frame, "encode_frame(args, limits=…): a CALL frame, without its id and time."),
    FUNCTION(encode_block, "encode_block(args, limits=…): the arguments of a call alone."),
    FUNCTION(decode_args, "decode_args(payload, limits=…): the arguments, in their order."),
    FUNCTION(encode_reply, "encode_reply(value, limits=…): the reply that returns a value."),
    FUNCTION(encode_raised, "encode_raised(exc, limits=…): the reply that raises an exception, or None."),
    FUNCTION(decode_reply, "decode_reply(data, limits=…): what a whole reply says."),
    FUNCTION(quick_reply, "quick_reply(data, limits=…): the same if data is one whole reply, or UNDECIDED."),
    FUNCTION(reply_scan, "reply_scan(limits=…): finds out where a reply ends."),
    {"answer", (PyCFunction)(void (*)(void))answer_new, METH_FASTCALL,
     "answer(handler, limits, whole, failed, returned, rest): what turns the arguments of a call into its reply."},
    {NULL},
};

static PyType_Slot method_slots[] = {
    {Py_tp_doc, "Everything that one method's messages need."},
    {Py_tp_new, method_new},
    {Py_tp_dealloc, method_dealloc},
    {Py_tp_traverse, method_traverse},
    {Py_tp_methods, method_methods},
    {0, NULL},
};

PyType_Spec method_spec = {
    .name = "rpcgen.runtime.wire._codec.Method",
    .basicsize = sizeof(Method),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = method_slots,
};
