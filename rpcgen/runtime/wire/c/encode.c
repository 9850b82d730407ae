/* Values as bytes. */

#include "codec.h"

int write_room(Writer *writer, Py_ssize_t more)
{
    Py_ssize_t used = written(writer), room = writer->end - writer->begin;
    if (more > PY_SSIZE_T_MAX / 4 - used) {
        PyErr_NoMemory();
        return -1;
    }
    room = used + more > 2 * room ? used + more : 2 * room;
    Spare spare = take_spare(writer->spares, room);
    if (spare.bytes != NULL || writer->bytes == NULL) {
        PyObject *bytes = spare.bytes ? spare.bytes : PyBytes_FromStringAndSize(NULL, room);
        if (bytes == NULL)
            return -1;
        memcpy(PyBytes_AS_STRING(bytes), writer->begin, used);
        Py_XSETREF(writer->bytes, bytes);
        room = spare.bytes ? spare.room : room;
    } else if (_PyBytes_Resize(&writer->bytes, room) < 0) {
        return -1;
    }
    writer->begin = (uint8_t *)PyBytes_AS_STRING(writer->bytes);
    writer->at = writer->begin + used;
    writer->end = writer->begin + room;
    return 0;
}

PyObject *finished_large(Writer *writer, Py_ssize_t size)
{
    Py_ssize_t room = writer->end - writer->begin;
    if (keep_spare(writer->spares, writer->bytes, room) || size == room) {
        cut(writer->bytes, size);
    } else {
        Py_SET_SIZE(writer->bytes, room);
        _PyBytes_Resize(&writer->bytes, size);
    }
    return writer->bytes;
}

/* An int, a bool or another subclass that fits; what only acts like one is left to the reference. */
static INLINE int as_int64(PyObject *value, int64_t *number)
{
    if (RARE(!PyLong_Check(value)))
        return -1;
#if PY_VERSION_HEX < 0x030C0000
    Py_ssize_t size = Py_SIZE(value);
    if (size >= -1 && size <= 1) {
        *number = size ? size * (int64_t)((PyLongObject *)value)->ob_digit[0] : 0;
        return 0;
    }
#else
    if (PyUnstable_Long_IsCompact((PyLongObject *)value)) {
        *number = PyUnstable_Long_CompactValue((PyLongObject *)value);
        return 0;
    }
#endif
    int overflow;
    *number = PyLong_AsLongLongAndOverflow(value, &overflow);
    return overflow ? -1 : 0;
}

static INLINE int as_double(PyObject *value, double *number)
{
    if (PyFloat_Check(value)) {
        *number = PyFloat_AS_DOUBLE(value);
        return 0;
    }
    if (!PyLong_Check(value))
        return -1;
    *number = PyLong_AsDouble(value);
    return *number == -1.0 && PyErr_Occurred() ? -1 : 0;
}

/* Runs no Python code. There is room for the number. */
static INLINE int put_number(Kind kind, uint8_t *at, PyObject *value)
{
    int64_t number = 0;
    double real = 0;
    if (kind == K_BOOL) {
        *at = value == Py_True;
        return *at || value == Py_False ? 0 : -1;
    }
    if (kind == K_FLOAT || kind == K_DOUBLE) {
        if (RARE(as_double(value, &real) < 0))
            return -1;
        if (kind == K_FLOAT)
            return PyFloat_Pack4(real, (char *)at, 0);
        uint64_t bits;
        memcpy(&bits, &real, sizeof bits);
        put64(at, bits);
        return 0;
    }
    if (RARE(as_int64(value, &number) < 0)) {
        if (kind != K_ULONG || !PyLong_Check(value))
            return -1;
        unsigned long long large = PyLong_AsUnsignedLongLong(value);
        if (large == (unsigned long long)-1 && PyErr_Occurred())
            return -1;
        put64(at, large);
        return 0;
    }
    switch (kind) {
    case K_BYTE:
        *at = (uint8_t)number;
        return number < INT8_MIN || number > INT8_MAX ? -1 : 0;
    case K_UBYTE:
        *at = (uint8_t)number;
        return number < 0 || number > UINT8_MAX ? -1 : 0;
    case K_SHORT:
        put16(at, (uint16_t)number);
        return number < INT16_MIN || number > INT16_MAX ? -1 : 0;
    case K_USHORT:
        put16(at, (uint16_t)number);
        return number < 0 || number > UINT16_MAX ? -1 : 0;
    case K_INT:
        put32(at, (uint32_t)number);
        return number < INT32_MIN || number > INT32_MAX ? -1 : 0;
    case K_UINT:
        put32(at, (uint32_t)number);
        return number < 0 || number > UINT32_MAX ? -1 : 0;
    case K_LONG:
        put64(at, (uint64_t)number);
        return 0;
    default: /* K_ULONG */
        put64(at, (uint64_t)number);
        return number < 0 ? -1 : 0;
    }
}

static INLINE int write_bytes(Writer *writer, const void *data, Py_ssize_t size)
{
    if (RARE((uint64_t)size > UINT32_MAX) || have_room(writer, size + 4) < 0)
        return -1;
    put32(writer->at, (uint32_t)size);
    copy(writer->at + 4, data, size);
    writer->at += size + 4;
    return 0;
}

static INLINE int write_string(Writer *writer, PyObject *value)
{
    if (RARE(!PyUnicode_Check(value)))
        return -1;
    if (PyUnicode_IS_COMPACT_ASCII(value))
        return write_bytes(writer, (PyASCIIObject *)value + 1, ((PyASCIIObject *)value)->length);
    Py_ssize_t size;
    const char *text = PyUnicode_AsUTF8AndSize(value, &size);
    return text == NULL ? -1 : write_bytes(writer, text, size);
}

static APART int write_buffer(Writer *writer, PyObject *value)
{
    if (PyBytes_CheckExact(value))
        return write_bytes(writer, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value));
    Py_buffer view;
    if (PyObject_GetBuffer(value, &view, PyBUF_SIMPLE) < 0)
        return -1;
    int done = write_bytes(writer, view.buf, view.len);
    PyBuffer_Release(&view);
    return done;
}

/* What Python functions convert: to an int of the width, or to bytes. Gives what was written, or NULL. */
static PyObject *write_converted(Writer *writer, const Shape *shape, PyObject *value)
{
    PyObject *raw = PyObject_CallOneArg(shape->to_wire, value);
    if (raw == NULL)
        return NULL;
    int done = -1;
    if (shape->kind == K_UUID || shape->kind == K_DECIMAL) {
        if (!PyBytes_CheckExact(raw)) {
        } else if (shape->kind == K_DECIMAL) {
            done = write_bytes(writer, PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw));
        } else if (PyBytes_GET_SIZE(raw) == 16 && have_room(writer, 16) == 0) {
            memcpy(writer->at, PyBytes_AS_STRING(raw), 16);
            writer->at += 16;
            done = 0;
        }
    } else if (have_room(writer, shape->width) == 0) {
        done = put_number(shape->width == 4 ? K_INT : K_LONG, writer->at, raw);
        writer->at += shape->width;
    }
    if (done < 0)
        Py_CLEAR(raw);
    return raw;
}

/* Fills in the length of what follows ``start``, four bytes that were left for it. */
static int put_length(Writer *writer, Py_ssize_t start)
{
    Py_ssize_t size = written(writer) - start - 4;
    if (RARE((uint64_t)size > UINT32_MAX))
        return -1;
    put32(writer->begin + start, (uint32_t)size);
    return 0;
}

static INLINE int begin_sized(Writer *writer, Py_ssize_t *start)
{
    if (have_room(writer, 4) < 0)
        return -1;
    *start = written(writer);
    writer->at += 4;
    return 0;
}

static int begin_items(Writer *writer, Py_ssize_t count)
{
    if (RARE((uint64_t)count > UINT32_MAX) || have_room(writer, 4) < 0)
        return -1;
    put32(writer->at, (uint32_t)count);
    writer->at += 4;
    return 0;
}

#define EACH_NUMBER(DO) \
    DO(K_BYTE) DO(K_SHORT) DO(K_INT) DO(K_LONG) DO(K_UBYTE) DO(K_USHORT) DO(K_UINT) DO(K_ULONG) \
    DO(K_FLOAT) DO(K_DOUBLE) DO(K_BOOL)

static int write_numbers(Writer *writer, const Shape *item, PyObject *const *values, Py_ssize_t count)
{
    if (have_room(writer, count * item->width) < 0)
        return -1;
    uint8_t *at = writer->at;
    PyObject *const *end = values + count;
    switch (item->kind) {
#define WRITE(KIND) \
    case KIND: \
        for (; values < end; values++, at += width_of(KIND)) \
            if (RARE(put_number(KIND, at, *values) < 0)) \
                return -1; \
        break;
        EACH_NUMBER(WRITE)
#undef WRITE
    default:
        return -1;
    }
    writer->at = at;
    return 0;
}

static APART int write_list(Writer *writer, const Shape *shape, PyObject *value)
{
    bool list = PyList_CheckExact(value);
    if (!list && !PyTuple_CheckExact(value))
        return -1;
    const Shape *item = shape->item;
    Py_ssize_t count = PySequence_Fast_GET_SIZE(value);
    if (begin_items(writer, count) < 0)
        return -1;
    if (count == 0)
        return 0;
    if (--writer->room < 0)
        return -1;
    if (IS_NUMBER(item->kind)) {
        if (write_numbers(writer, item, PySequence_Fast_ITEMS(value), count) < 0)
            return -1;
    } else if (item->kind == K_STRING) {
        PyObject *const *values = PySequence_Fast_ITEMS(value); /* strings run no Python code */
        for (Py_ssize_t index = 0; index < count; index++)
            if (write_string(writer, values[index]) < 0)
                return -1;
    } else {
        for (Py_ssize_t index = 0; index < count; index++) {
            /* Conversions run Python code, which may change a list. */
            if (index >= PySequence_Fast_GET_SIZE(value))
                return -1;
            PyObject *each = Py_NewRef(PySequence_Fast_GET_ITEM(value, index));
            int done = write_value(writer, item, each);
            Py_DECREF(each);
            if (done < 0)
                return -1;
        }
        if (PySequence_Fast_GET_SIZE(value) != count)
            return -1;
    }
    writer->room++;
    return 0;
}

typedef struct {
    Py_ssize_t start, size;
    const uint8_t *base;
} Piece;

static int compare_pieces(const void *left, const void *right)
{
    const Piece *one = left, *other = right;
    Py_ssize_t least = one->size < other->size ? one->size : other->size;
    int order = memcmp(one->base + one->start, other->base + other->start, least);
    return order ? order : one->size < other->size ? -1 : one->size > other->size;
}

/* Puts the items in the order of their bytes; one that is there twice is the reference's to refuse. */
static int sort_pieces(Writer *writer, Piece *pieces, Py_ssize_t count, Py_ssize_t start)
{
    Py_ssize_t size = written(writer) - start;
    uint8_t *copy = PyMem_Malloc(size ? size : 1);
    if (copy == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    memcpy(copy, writer->begin + start, size);
    for (Py_ssize_t index = 0; index < count; index++) {
        pieces[index].start -= start;
        pieces[index].base = copy;
    }
    qsort(pieces, count, sizeof *pieces, compare_pieces);
    uint8_t *at = writer->begin + start;
    int done = 0;
    for (Py_ssize_t index = 0; index < count; index++) {
        if (index && compare_pieces(&pieces[index - 1], &pieces[index]) == 0)
            done = -1;
        memcpy(at, copy + pieces[index].start, pieces[index].size);
        at += pieces[index].size;
    }
    PyMem_Free(copy);
    return done;
}

static APART int write_set(Writer *writer, const Shape *shape, PyObject *value)
{
    if (!PyAnySet_CheckExact(value))
        return -1;
    Py_ssize_t count = PySet_GET_SIZE(value), index = 0;
    if (begin_items(writer, count) < 0)
        return -1;
    if (count == 0)
        return 0;
    if (--writer->room < 0)
        return -1;
    Piece *pieces = PyMem_New(Piece, count);
    PyObject *items = PyObject_GetIter(value), *item = NULL;
    int done = -1;
    if (pieces == NULL) {
        PyErr_NoMemory();
        goto end;
    }
    if (items == NULL)
        goto end;
    Py_ssize_t start = written(writer);
    while ((item = PyIter_Next(items)) != NULL) {
        if (index == count)
            goto end;
        pieces[index].start = written(writer);
        if (write_value(writer, shape->item, item) < 0)
            goto end;
        pieces[index].size = written(writer) - pieces[index].start;
        index++;
        Py_CLEAR(item);
    }
    if (!PyErr_Occurred() && index == count)
        done = sort_pieces(writer, pieces, count, start);
    writer->room++;
end:
    Py_XDECREF(item);
    Py_XDECREF(items);
    PyMem_Free(pieces);
    return done;
}

/* Keys that differ in Python can have one form on the wire, unless they are of one plain class. */
static INLINE bool is_plain_key(const Shape *shape, PyObject *key)
{
    switch (shape->kind) {
    case K_STRING:
        return PyUnicode_CheckExact(key);
    case K_BYTES:
        return PyBytes_CheckExact(key);
    case K_ENUM:
        return (PyObject *)Py_TYPE(key) == shape->cls;
    case K_BOOL:
        return true;
    case K_TIMESTAMP: case K_DATE: case K_UUID:
        return true; /* compared by what is written, below */
    default:
        return PyLong_CheckExact(key);
    }
}

/* Strings and numbers run no Python code, so that nothing changes meanwhile. */
static int write_plain_map(Writer *writer, const Shape *item_shape, PyObject *map)
{
    Py_ssize_t position = 0;
    PyObject *key, *item;
    while (PyDict_Next(map, &position, &key, &item)) {
        if (!PyUnicode_CheckExact(key) || write_string(writer, key) < 0 || have_room(writer, 8) < 0
            || put_number(item_shape->kind, writer->at, item) < 0)
            return -1;
        writer->at += item_shape->width;
    }
    writer->room++;
    return 0;
}

static APART int write_map(Writer *writer, const Shape *shape, PyObject *value)
{
    if (!PyDict_CheckExact(value))
        return -1;
    const Shape *key_shape = shape->item, *item_shape = shape->value;
    Py_ssize_t count = PyDict_GET_SIZE(value), position = 0, index = 0;
    if (begin_items(writer, count) < 0)
        return -1;
    if (count == 0)
        return 0;
    if (--writer->room < 0)
        return -1;
    if (key_shape->kind == K_STRING && IS_NUMBER(item_shape->kind))
        return write_plain_map(writer, item_shape, value);
    bool converted = key_shape->to_wire != NULL;
    PyObject *seen = NULL, *key, *item;
    if (converted && (seen = PySet_New(NULL)) == NULL)
        return -1;
    int done = 0;
    while (done == 0 && PyDict_Next(value, &position, &key, &item)) {
        if (++index > count || !is_plain_key(key_shape, key)) {
            done = -1;
            break;
        }
        Py_INCREF(key);
        Py_INCREF(item);
        if (converted) {
            PyObject *raw = write_converted(writer, key_shape, key);
            done = raw == NULL ? -1 : PySet_Add(seen, raw);
            Py_XDECREF(raw);
        } else if (key_shape->kind == K_STRING) {
            done = write_string(writer, key);
        } else {
            done = write_value(writer, key_shape, key);
        }
        if (done == 0)
            done = write_value(writer, item_shape, item);
        Py_DECREF(key);
        Py_DECREF(item);
        if (done == 0 && PyDict_GET_SIZE(value) != count)
            done = -1; /* Python code has changed it */
    }
    if (index != count || (seen != NULL && PySet_GET_SIZE(seen) != count))
        done = -1;
    Py_XDECREF(seen);
    writer->room++;
    return done;
}

static INLINE PyObject *field_value(const Field *field, PyObject *instance)
{
    if (RARE(field->offset == 0))
        return PyObject_GetAttr(instance, field->name);
    return Py_XNewRef(*(PyObject **)((char *)instance + field->offset));
}

/* It may run Python code, which may take the value out of its slot. */
static APART int write_held(Writer *writer, const Shape *shape, PyObject *value)
{
    Py_INCREF(value);
    int done = write_value(writer, shape, value);
    Py_DECREF(value);
    return done;
}

/* Takes back what was written from a place on, if those are the bytes of the field's default. */
static APART void leave_out(Writer *writer, const Field *field, Py_ssize_t start)
{
    Py_ssize_t size = written(writer) - start - 1;
    if (size == PyBytes_GET_SIZE(field->left_out)
        && memcmp(writer->begin + start + 1, PyBytes_AS_STRING(field->left_out), size) == 0)
        writer->at = writer->begin + start;
}

/* A field that is not reserved; default_ stands for a value that is not given. */
static INLINE int write_field(Writer *writer, const Field *field, PyObject *value, PyObject *default_)
{
    if ((field->optional && value == Py_None) || (value == default_ && field->absence != REQUIRED))
        return 0;
    if (have_room(writer, 9) < 0)
        return -1;
    Py_ssize_t start = written(writer);
    const Shape *type = field->shape;
    *writer->at++ = field->tag;
    if (IS_NUMBER(type->kind)) {
        if (RARE(put_number(type->kind, writer->at, value) < 0))
            return -1;
        writer->at += type->width;
    } else if (RARE((type->kind == K_STRING ? write_string(writer, value) : write_held(writer, type, value)) < 0)) {
        return -1;
    }
    if (field->left_out != NULL)
        leave_out(writer, field, start);
    return 0;
}

/* One that is no slot. */
static APART int write_attribute(Writer *writer, const Field *field, PyObject *instance, PyObject *default_)
{
    PyObject *value = PyObject_GetAttr(instance, field->name);
    if (value == NULL)
        return -1;
    int done = write_field(writer, field, value, default_);
    Py_DECREF(value);
    return done;
}

/* The fields of an instance, or values by their places. */
static INLINE int write_each(
    Writer *writer, const Shape *shape, PyObject *instance, PyObject *const *values, PyObject *default_)
{
    const Field *end = shape->fields + shape->count;
    for (const Field *field = shape->fields; field < end; field++) {
        if (field->absence == GONE)
            continue;
        if (values == NULL && RARE(field->offset == 0)) {
            if (write_attribute(writer, field, instance, default_) < 0)
                return -1;
            continue;
        }
        PyObject *value = values ? values[field->place] : *(PyObject **)((char *)instance + field->offset);
        if (RARE(value == NULL || write_field(writer, field, value, default_) < 0))
            return -1;
    }
    return 0;
}

int write_fields(
    Writer *writer, const Shape *shape, PyObject *instance, PyObject *const *values, PyObject *default_)
{
    return write_each(writer, shape, instance, values, default_);
}

static int write_unknown(Writer *writer, const Shape *shape, PyObject *value)
{
    if ((PyObject *)Py_TYPE(value) != shape->cls)
        return -1;
    int done = -1;
    int64_t number;
    PyObject *tag = PyObject_GetAttrString(value, "tag");
    PyObject *raw = tag ? PyObject_GetAttrString(value, "raw") : NULL;
    if (raw != NULL && PyLong_CheckExact(tag) && as_int64(tag, &number) == 0 && PyBytes_CheckExact(raw)) {
        bool fits = number >= 1 && number <= 255;
        for (Py_ssize_t index = 0; index < shape->count; index++)
            fits = fits && shape->fields[index].tag != number;
        Py_ssize_t size = PyBytes_GET_SIZE(raw);
        if (fits && (uint64_t)size < UINT32_MAX && have_room(writer, size + 5) == 0) {
            put32(writer->at, (uint32_t)size + 1);
            writer->at[4] = (uint8_t)number;
            memcpy(writer->at + 5, PyBytes_AS_STRING(raw), size);
            writer->at += size + 5;
            done = 0;
        }
    }
    Py_XDECREF(tag);
    Py_XDECREF(raw);
    return done;
}

static APART int write_union(Writer *writer, const Shape *shape, PyObject *value)
{
    Py_ssize_t start;
    if (--writer->room < 0)
        return -1;
    for (Py_ssize_t index = 0; index < shape->count; index++) {
        const Field *field = &shape->fields[index];
        if ((PyObject *)Py_TYPE(value) != field->cls)
            continue;
        PyObject *held = field_value(field, value);
        if (held == NULL)
            return -1;
        int done = begin_sized(writer, &start);
        if (done == 0)
            done = have_room(writer, 1);
        if (done == 0) {
            *writer->at++ = field->tag;
            done = write_value(writer, field->shape, held);
        }
        Py_DECREF(held);
        writer->room++;
        return done < 0 ? -1 : put_length(writer, start);
    }
    writer->room++;
    return write_unknown(writer, shape, value);
}

/* A record that is even, of exactly its class, behind its length. There is room for it. */
static INLINE int put_even(uint8_t *at, const Shape *shape, PyObject *value)
{
    put32(at, (uint32_t)shape->even);
    at += 4;
    for (const Field *field = shape->fields, *end = field + shape->count; field < end; field++) {
        PyObject *number = *(PyObject **)((char *)value + field->offset);
        *at = field->tag;
        if (RARE(number == NULL || put_number(field->shape->kind, at + 1, number) < 0))
            return -1;
        at += 1 + field->shape->width;
    }
    return 0;
}

/* The reply that returns an even record: its size is known before. NULL where that must be found out otherwise. */
PyObject *even_reply(const Shape *shape, PyObject *value)
{
    if (RARE((PyObject *)Py_TYPE(value) != shape->cls))
        return NULL;
    PyObject *reply = PyBytes_FromStringAndSize(NULL, 5 + shape->even);
    if (reply == NULL)
        return NULL;
    *PyBytes_AS_STRING(reply) = 1;
    if (RARE(put_even((uint8_t *)PyBytes_AS_STRING(reply) + 1, shape, value) < 0))
        Py_CLEAR(reply);
    return reply;
}

static APART int write_record(Writer *writer, const Shape *shape, PyObject *value)
{
    Py_ssize_t start;
    if (RARE((PyObject *)Py_TYPE(value) != shape->cls || --writer->room < 0))
        return -1;
    if (shape->even) {
        if (have_room(writer, 4 + shape->even) < 0 || put_even(writer->at, shape, value) < 0)
            return -1;
        writer->at += 4 + shape->even;
        writer->room++;
        return 0;
    }
    if (begin_sized(writer, &start) < 0)
        return -1;
    if (write_each(writer, shape, value, NULL, NULL) < 0)
        return -1;
    writer->room++;
    return put_length(writer, start);
}

static APART int write_enum(Writer *writer, const Shape *shape, PyObject *value)
{
    if ((PyObject *)Py_TYPE(value) != shape->cls || have_room(writer, 4) < 0)
        return -1;
    int done = put_number(K_INT, writer->at, value);
    writer->at += 4;
    return done;
}

static APART int write_message(Writer *writer, const Shape *shape, PyObject *value)
{
    if ((PyObject *)Py_TYPE(value) != shape->cls)
        return -1;
    PyObject *message = PyObject_GetAttr(value, shape->name);
    if (message == NULL)
        return -1;
    int done = write_string(writer, message);
    Py_DECREF(message);
    return done;
}

static APART int write_text(Writer *writer, PyObject *value)
{
    return write_string(writer, value);
}

static APART int write_number(Writer *writer, const Shape *shape, PyObject *value)
{
    if (have_room(writer, 8) < 0 || put_number(shape->kind, writer->at, value) < 0)
        return -1;
    writer->at += shape->width;
    return 0;
}

static APART int write_other(Writer *writer, const Shape *shape, PyObject *value)
{
    PyObject *raw = write_converted(writer, shape, value);
    Py_XDECREF(raw);
    return raw == NULL ? -1 : 0;
}

int write_value(Writer *writer, const Shape *shape, PyObject *value)
{
    switch (shape->kind) {
    case K_STRING:
        return write_text(writer, value);
    case K_BYTES:
        return write_buffer(writer, value);
    case K_ENUM:
        return write_enum(writer, shape, value);
    case K_TIMESTAMP: case K_DATE: case K_DURATION: case K_UUID: case K_DECIMAL:
        return write_other(writer, shape, value);
    case K_MESSAGE:
        return write_message(writer, shape, value);
    case K_RECORD:
        return write_record(writer, shape, value);
    case K_UNION:
        return write_union(writer, shape, value);
    case K_LIST:
        return write_list(writer, shape, value);
    case K_SET:
        return write_set(writer, shape, value);
    case K_MAP:
        return write_map(writer, shape, value);
    default:
        return write_number(writer, shape, value);
    }
}
