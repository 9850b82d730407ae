/* Bytes as values. Every length and count is held against the bytes that remain before anything is
   taken for it; nothing is read beyond reader->end. */

#include "codec.h"

static INLINE bool has(const Reader *reader, Py_ssize_t size) { return reader->end - reader->at >= size; }

/* Runs no Python code. The bytes are there. */
static INLINE PyObject *get_number(Kind kind, const uint8_t *at)
{
    switch (kind) {
    case K_BYTE:
        return PyLong_FromLong((int8_t)*at);
    case K_UBYTE:
        return PyLong_FromLong(*at);
    case K_SHORT:
        return PyLong_FromLong((int16_t)get16(at));
    case K_USHORT:
        return PyLong_FromLong(get16(at));
    case K_INT:
        return PyLong_FromLong((int32_t)get32(at));
    case K_UINT:
        return PyLong_FromUnsignedLong(get32(at));
    case K_LONG:
        return PyLong_FromLongLong((int64_t)get64(at));
    case K_ULONG:
        return PyLong_FromUnsignedLongLong(get64(at));
    case K_FLOAT: {
        double real = PyFloat_Unpack4((const char *)at, 0);
        return real == -1.0 && PyErr_Occurred() ? NULL : PyFloat_FromDouble(real);
    }
    case K_DOUBLE: {
        uint64_t bits = get64(at);
        double real;
        memcpy(&real, &bits, sizeof real);
        return PyFloat_FromDouble(real);
    }
    default: /* K_BOOL */
        return *at > 1 ? NULL : Py_NewRef(*at ? Py_True : Py_False);
    }
}

/* Takes a length and gives where its bytes end; NULL if they are not all there. */
static INLINE const uint8_t *take_length(Reader *reader)
{
    if (RARE(!has(reader, 4)))
        return NULL;
    uint32_t size = get32(reader->at);
    reader->at += 4;
    return RARE((uint64_t)(reader->end - reader->at) < size) ? NULL : reader->at + size;
}

/* Takes a container's count; -1 if so many items cannot follow. */
static INLINE Py_ssize_t take_count(Reader *reader, int64_t least)
{
    if (RARE(!has(reader, 4)))
        return -1;
    int64_t count = get32(reader->at);
    reader->at += 4;
    if (count * least > reader->end - reader->at || count > reader->items)
        return -1;
    reader->items -= count;
    return (Py_ssize_t)count;
}

static INLINE bool is_ascii(const uint8_t *at, Py_ssize_t size)
{
    uint64_t high = 0, word;
    while (size >= 8) {
        memcpy(&word, at, 8);
        high |= word;
        at += 8;
        size -= 8;
    }
    while (size--)
        high |= *at++;
    return !(high & 0x8080808080808080);
}

static INLINE PyObject *text(const uint8_t *at, Py_ssize_t size)
{
    if (RARE(!is_ascii(at, size)))
        return PyUnicode_DecodeUTF8((const char *)at, size, NULL);
    PyObject *string = PyUnicode_New(size, 127);
    if (string != NULL)
        copy(PyUnicode_1BYTE_DATA(string), at, size);
    return string;
}

static INLINE PyObject *read_string(Reader *reader)
{
    const uint8_t *end = take_length(reader);
    if (RARE(end == NULL))
        return NULL;
    const uint8_t *at = reader->at;
    reader->at = end;
    return text(at, end - at);
}

static PyObject *read_bytes(Reader *reader, Py_ssize_t size)
{
    if (RARE(!has(reader, size)))
        return NULL;
    PyObject *bytes = PyBytes_FromStringAndSize((const char *)reader->at, size);
    reader->at += size;
    return bytes;
}

static PyObject *read_sized(Reader *reader)
{
    const uint8_t *end = take_length(reader);
    return end == NULL ? NULL : read_bytes(reader, end - reader->at);
}

static PyObject *read_fixed(Reader *reader, const Shape *shape)
{
    if (!has(reader, shape->width))
        return NULL;
    const uint8_t *at = reader->at;
    reader->at += shape->width;
    return get_number(shape->width == 4 ? K_INT : K_LONG, at);
}

static PyObject *read_enum(Reader *reader, const Shape *shape)
{
    PyObject *number = read_fixed(reader, shape);
    if (number == NULL)
        return NULL;
    PyObject *member = Py_XNewRef(PyDict_GetItemWithError(shape->members, number));
    if (member == NULL && !PyErr_Occurred())
        member = PyObject_CallOneArg(shape->from_wire, number);
    Py_DECREF(number);
    return member;
}

static PyObject *converted(const Shape *shape, PyObject *raw)
{
    if (raw == NULL)
        return NULL;
    PyObject *value = PyObject_CallOneArg(shape->from_wire, raw);
    Py_DECREF(raw);
    return value;
}

#define EACH_NUMBER(DO) \
    DO(K_BYTE) DO(K_SHORT) DO(K_INT) DO(K_LONG) DO(K_UBYTE) DO(K_USHORT) DO(K_UINT) DO(K_ULONG) \
    DO(K_FLOAT) DO(K_DOUBLE) DO(K_BOOL)

/* Items of a list; they were counted against the bytes that remain. */
static int read_numbers(Reader *reader, const Shape *item, PyObject *list, Py_ssize_t count)
{
    const uint8_t *at = reader->at;
    switch (item->kind) {
#define READ(KIND) \
    case KIND: \
        for (Py_ssize_t index = 0; index < count; index++, at += width_of(KIND)) { \
            PyObject *each = get_number(KIND, at); \
            if (RARE(each == NULL)) \
                return -1; \
            PyList_SET_ITEM(list, index, each); \
        } \
        break;
        EACH_NUMBER(READ)
#undef READ
    default:
        return -1;
    }
    reader->at = at;
    return 0;
}

static PyObject *read_list(Reader *reader, const Shape *shape)
{
    const Shape *item = shape->item;
    Py_ssize_t count = take_count(reader, item->least);
    if (count < 0)
        return NULL;
    PyObject *list = PyList_New(count);
    if (list == NULL || count == 0)
        return list;
    /* Not to be found by others before it is filled. */
    PyObject_GC_UnTrack(list);
    if (--reader->room < 0)
        goto fail;
    if (IS_NUMBER(item->kind)) {
        if (read_numbers(reader, item, list, count) < 0)
            goto fail;
    } else {
        for (Py_ssize_t index = 0; index < count; index++) {
            PyObject *each = item->kind == K_STRING ? read_string(reader) : read_value(reader, item);
            if (RARE(each == NULL))
                goto fail;
            PyList_SET_ITEM(list, index, each);
        }
    }
    if (!shape->acyclic)
        PyObject_GC_Track(list);
    reader->room++;
    return list;
fail:
    Py_DECREF(list);
    return NULL;
}

/* Keys of one hash beyond which a set or map is left to the reference, which refuses it: see limits.py. */
#define ALIKE 64

/* Adds the hash of a key to those of the keys before; says whether more than ALIKE of them were there already. */
static int too_alike(PyObject *hashes, PyObject *key, Py_ssize_t index)
{
    Py_hash_t hash = PyObject_Hash(key);
    PyObject *number = hash == -1 ? NULL : PyLong_FromSsize_t(hash);
    int done = number == NULL ? -1 : PySet_Add(hashes, number);
    Py_XDECREF(number);
    return done < 0 ? -1 : index + 1 - PySet_GET_SIZE(hashes) > ALIKE;
}

static PyObject *read_set(Reader *reader, const Shape *shape)
{
    Py_ssize_t count = take_count(reader, shape->item->least);
    if (count < 0 || (count && --reader->room < 0))
        return NULL;
    PyObject *set = PySet_New(NULL);
    PyObject *hashes = shape->item->kind == K_UUID && count > ALIKE ? PySet_New(NULL) : NULL;
    int done = set == NULL || (hashes == NULL && PyErr_Occurred()) ? -1 : 0;
    for (Py_ssize_t index = 0; done == 0 && index < count; index++) {
        PyObject *item = read_value(reader, shape->item);
        done = item == NULL ? -1 : PySet_Add(set, item);
        if (done == 0 && hashes != NULL)
            done = too_alike(hashes, item, index);
        Py_XDECREF(item);
    }
    Py_XDECREF(hashes);
    if (done != 0) {
        Py_XDECREF(set);
        return NULL;
    }
    if (PySet_GET_SIZE(set) != count) { /* one is repeated */
        Py_DECREF(set);
        return NULL;
    }
    if (shape->acyclic)
        PyObject_GC_UnTrack(set);
    reader->room += count > 0;
    return set;
}

static PyObject *read_map(Reader *reader, const Shape *shape)
{
    const Shape *key_shape = shape->item, *value_shape = shape->value;
    Py_ssize_t count = take_count(reader, key_shape->least + value_shape->least);
    if (count < 0 || (count && --reader->room < 0))
        return NULL;
    PyObject *map = PyDict_New();
    PyObject *hashes = key_shape->kind == K_UUID && count > ALIKE ? PySet_New(NULL) : NULL;
    int done = map == NULL || (hashes == NULL && PyErr_Occurred()) ? -1 : 0;
    for (Py_ssize_t index = 0; done == 0 && index < count; index++) {
        PyObject *key = key_shape->kind == K_STRING ? read_string(reader) : read_value(reader, key_shape);
        PyObject *value = key == NULL ? NULL : read_value(reader, value_shape);
        done = value == NULL ? -1 : PyDict_SetItem(map, key, value);
        if (done == 0 && hashes != NULL)
            done = too_alike(hashes, key, index);
        Py_XDECREF(key);
        Py_XDECREF(value);
    }
    Py_XDECREF(hashes);
    if (RARE(done != 0)) {
        Py_XDECREF(map);
        return NULL;
    }
    if (PyDict_GET_SIZE(map) != count) { /* a key is repeated */
        Py_DECREF(map);
        return NULL;
    }
    if (shape->acyclic)
        PyObject_GC_UnTrack(map);
    reader->room += count > 0;
    return map;
}

/* Goes past a value, by its lengths and counts alone. */
static int skip(Reader *reader, const Shape *shape)
{
    if (shape->width) {
        if (!has(reader, shape->width))
            return -1;
        reader->at += shape->width;
        return 0;
    }
    if (shape->kind != K_LIST && shape->kind != K_SET && shape->kind != K_MAP) {
        const uint8_t *end = take_length(reader);
        if (end == NULL)
            return -1;
        reader->at = end;
        return 0;
    }
    Py_ssize_t count = take_count(reader, shape->item->least + (shape->value ? shape->value->least : 0));
    if (count < 0 || (count && --reader->room < 0))
        return -1;
    for (Py_ssize_t index = 0; index < count; index++)
        if (skip(reader, shape->item) < 0 || (shape->value && skip(reader, shape->value) < 0))
            return -1;
    reader->room += count > 0;
    return 0;
}

static PyObject *absent(const Field *field)
{
    switch (field->absence) {
    case CONSTANT:
        return Py_NewRef(field->absent);
    case LIST:
        return PyList_New(0);
    case SET:
        return PySet_New(NULL);
    case MAP:
        return PyDict_New();
    case MADE:
        return PyObject_CallNoArgs(field->absent);
    default:
        return NULL;
    }
}

/* Where a field's value goes: into the slot of an instance, or among the values. */
static INLINE PyObject **target(const Field *field, PyObject **values, PyObject *instance)
{
    return instance ? (PyObject **)((char *)instance + field->offset) : values + field->place;
}

static int fill_absent(const Field *field, const Field *until, PyObject **values, PyObject *instance)
{
    for (; field < until; field++)
        if (field->absence != GONE && (*target(field, values, instance) = absent(field)) == NULL)
            return -1;
    return 0;
}

static INLINE int fill(Reader *reader, const Shape *shape, PyObject **values, PyObject *instance, bool arguments)
{
    const Field *field = shape->fields, *end = field + shape->count;
    while (reader->at < reader->end) {
        uint8_t tag = *reader->at;
        if (RARE(field == end || field->tag != tag)) {
            const Field *next = field;
            while (next < end && next->tag < tag)
                next++;
            if (fill_absent(field, next, values, instance) < 0)
                return -1;
            field = next;
            if (field == end || field->tag != tag) {
                if (arguments || tag <= shape->highest)
                    return -1; /* unknown; or it repeats or descends */
                reader->at = reader->end; /* a newer peer's; it and all that follows */
                break;
            }
        }
        reader->at++;
        const Shape *type = field->shape;
        PyObject *value;
        if (RARE(field->absence == GONE)) {
            if (arguments || skip(reader, type) < 0)
                return -1;
            field++;
            continue;
        }
        if (IS_NUMBER(type->kind)) {
            if (RARE(!has(reader, type->width)))
                return -1;
            value = get_number(type->kind, reader->at);
            reader->at += type->width;
        } else {
            value = type->kind == K_STRING ? read_string(reader) : read_value(reader, type);
        }
        if (RARE(value == NULL))
            return -1;
        *target(field, values, instance) = value;
        field++;
    }
    return RARE(field < end) ? fill_absent(field, end, values, instance) : 0;
}

/* Fills ``values``, which are all NULL, by their places; what it has filled before it gives up is the
   caller's to release, too. */
int read_fields(Reader *reader, const Shape *shape, PyObject **values, bool arguments)
{
    return fill(reader, shape, values, NULL, arguments);
}

#define FEW_PLACES 16

/* One that is made by a call. */
static APART PyObject *read_called(Reader *reader, const Shape *shape)
{
    PyObject *few[FEW_PLACES], **values = few, *instance = NULL;
    if (shape->places > FEW_PLACES && (values = PyMem_New(PyObject *, shape->places)) == NULL)
        return PyErr_NoMemory();
    memset(values, 0, shape->places * sizeof *values);
    if (read_fields(reader, shape, values, false) == 0 && shape->cls != NULL)
        instance = PyObject_Vectorcall(shape->cls, values, shape->places, NULL);
    for (Py_ssize_t place = 0; place < shape->places; place++)
        Py_XDECREF(values[place]);
    if (values != few)
        PyMem_Free(values);
    return instance;
}

/* An instance whose slots are empty, which the collector does not know. */
static INLINE PyObject *made(const Shape *shape)
{
    PyTypeObject *cls = (PyTypeObject *)shape->cls;
    PyObject *instance = shape->bare ? PyObject_New(PyObject, cls) : cls->tp_alloc(cls, 0);
    if (RARE(instance == NULL))
        return NULL;
    if (shape->bare)
        memset(instance + 1, 0, cls->tp_basicsize - sizeof *instance);
    else if (PyType_IS_GC(cls))
        PyObject_GC_UnTrack(instance);
    return instance;
}

static PyObject *read_record(Reader *reader, const Shape *shape)
{
    if (!shape->direct)
        return read_called(reader, shape);
    bool tracked = PyType_IS_GC((PyTypeObject *)shape->cls);
    PyObject *instance = made(shape);
    if (RARE(instance == NULL))
        return NULL;
    if (RARE(fill(reader, shape, NULL, instance, false) < 0))
        Py_CLEAR(instance);
    else if (tracked && !shape->acyclic)
        PyObject_GC_Track(instance);
    return instance;
}

/* An even record of exactly its size. NULL, mostly without an error, for one that is not as it should be. */
static INLINE PyObject *read_even(const uint8_t *at, const Shape *shape)
{
    PyObject *instance = made(shape), *number;
    if (RARE(instance == NULL))
        return NULL;
    for (const Field *field = shape->fields, *end = field + shape->count; field < end; field++) {
        if (RARE(*at != field->tag || (number = get_number(field->shape->kind, at + 1)) == NULL)) {
            Py_DECREF(instance);
            return NULL;
        }
        *(PyObject **)((char *)instance + field->offset) = number;
        at += 1 + field->shape->width;
    }
    return instance;
}

/* The reply that returns an even record, from all of its bytes. NULL, as ever, for what is anything else. */
PyObject *read_even_reply(const Shape *shape, PyObject *data)
{
    const uint8_t *at = (const uint8_t *)PyBytes_AS_STRING(data);
    if (RARE(PyBytes_GET_SIZE(data) != 5 + shape->even || !shape->direct || *at != 1 || get32(at + 1) != (uint32_t)shape->even))
        return NULL;
    return read_even(at + 5, shape);
}

static PyObject *read_union(Reader *reader, const Shape *shape)
{
    if (reader->at == reader->end)
        return NULL;
    uint8_t tag = *reader->at++;
    for (Py_ssize_t index = 0; index < shape->count; index++) {
        const Field *field = &shape->fields[index];
        if (field->tag != tag)
            continue;
        PyObject *value = read_value(reader, field->shape), *instance = NULL;
        if (value != NULL && reader->at == reader->end)
            instance = PyObject_CallOneArg(field->cls, value);
        Py_XDECREF(value);
        return instance;
    }
    if (tag == 0)
        return NULL;
    PyObject *number = PyLong_FromLong(tag), *raw = read_bytes(reader, reader->end - reader->at);
    PyObject *instance = NULL;
    if (number != NULL && raw != NULL)
        instance = PyObject_CallFunctionObjArgs(shape->cls, number, raw, NULL);
    Py_XDECREF(number);
    Py_XDECREF(raw);
    return instance;
}

static PyObject *read_block(Reader *reader, const Shape *shape)
{
    const uint8_t *end = take_length(reader), *outer = reader->end;
    if (RARE(end == NULL) || --reader->items < 0 || --reader->room < 0)
        return NULL;
    if (shape->even && shape->direct && end - reader->at == shape->even) {
        PyObject *instance = read_even(reader->at, shape);
        if (RARE(instance == NULL))
            return NULL;
        reader->at = end;
        reader->room++;
        return instance;
    }
    reader->end = end;
    PyObject *value = shape->kind == K_UNION ? read_union(reader, shape) : read_record(reader, shape);
    reader->end = outer;
    reader->room++;
    return value;
}

static PyObject *read_message(Reader *reader, const Shape *shape)
{
    PyObject *message = read_string(reader), *exception = NULL;
    if (message != NULL && !shape->direct) {
        exception = PyObject_CallOneArg(shape->cls, message);
    } else if (message != NULL) {
        /* What its __init__ would do, without it. */
        PyObject *args = PyTuple_Pack(1, message);
        exception = args ? ((PyTypeObject *)shape->cls)->tp_new((PyTypeObject *)shape->cls, args, NULL) : NULL;
        Py_XDECREF(args);
        if (exception != NULL && PyObject_SetAttr(exception, shape->name, message) < 0)
            Py_CLEAR(exception);
    }
    Py_XDECREF(message);
    return exception;
}

PyObject *read_value(Reader *reader, const Shape *shape)
{
    PyObject *value;
    switch (shape->kind) {
    case K_STRING:
        return read_string(reader);
    case K_BYTES:
        return read_sized(reader);
    case K_ENUM:
        return read_enum(reader, shape);
    case K_TIMESTAMP: case K_DATE: case K_DURATION:
        return converted(shape, read_fixed(reader, shape));
    case K_UUID:
        return converted(shape, read_bytes(reader, 16));
    case K_DECIMAL:
        return converted(shape, read_sized(reader));
    case K_MESSAGE:
        return read_message(reader, shape);
    case K_RECORD: case K_UNION:
        return read_block(reader, shape);
    case K_LIST:
        return read_list(reader, shape);
    case K_SET:
        return read_set(reader, shape);
    case K_MAP:
        return read_map(reader, shape);
    default:
        if (!has(reader, shape->width))
            return NULL;
        value = get_number(shape->kind, reader->at);
        reader->at += shape->width;
        return value;
    }
}

/* A value that is a message's tail; NULL for what is none that can be read there. */
PyObject *read_tail(Reader *reader, const Shape *shape, PyObject *tail)
{
    reader->at = (const uint8_t *)PyBytes_AS_STRING(tail);
    reader->end = reader->at + PyBytes_GET_SIZE(tail);
    switch (shape->kind) {
    case K_BYTES:
        return Py_NewRef(tail);
    case K_STRING:
        return text(reader->at, reader->end - reader->at);
    case K_RECORD: case K_UNION:
        if (--reader->items < 0 || --reader->room < 0)
            return NULL;
        return shape->kind == K_UNION ? read_union(reader, shape) : read_record(reader, shape);
    default:
        return NULL;
    }
}

/* Arguments of which the last that is there is the tail. Fills ``values`` as read_fields does. */
int read_tailed_fields(const Tailed *message, const Bounds *bounds, const Shape *shape, PyObject **values)
{
    const uint8_t *head = (const uint8_t *)PyBytes_AS_STRING(message->head);
    Py_ssize_t size = PyBytes_GET_SIZE(message->head) - 5;
    if (size < 0 || (Py_ssize_t)get32(head + size + 1) != PyBytes_GET_SIZE(message->tail))
        return -1;
    const Field *field = shape->fields, *end = field + shape->count;
    while (field < end && field->tag < head[size])
        field++;
    if (field == end || field->tag != head[size] || field->absence == GONE)
        return -1;
    /* The fields before it are read as if there were no others. */
    Shape before = *shape;
    before.count = field - shape->fields;
    Reader reader = {head, head + size, bounds->items, bounds->room};
    if (read_fields(&reader, &before, values, true) < 0)
        return -1;
    PyObject *value = read_tail(&reader, field->shape, message->tail);
    if (value == NULL)
        return -1;
    values[field->place] = value;
    return fill_absent(field + 1, end, values, NULL);
}
