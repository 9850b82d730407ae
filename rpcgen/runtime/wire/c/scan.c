/* Where a reply ends: found from its bytes so far, without decoding them. It goes on where it stopped,
   reads lengths, counts and flags alone and steps over the rest, which need not have come. What goes
   beyond a limit is handed to the reference's scan, which says so. */

#include "codec.h"

#include <stddef.h>
#include <structmember.h>

/* A container that the scan is in: its item, or its key and value, and how many of them are left. */
typedef struct {
    const Shape *parts[2];
    int next;
    uint64_t left;
} Level;

typedef enum { KIND, FLAG, ONE_LENGTH, LEVELS } Stage;

typedef struct {
    PyObject_HEAD
    Method *method;
    PyObject *limits;     /* or NULL */
    Bounds bounds;
    Stage stage;
    int64_t position, counted;
    Level *levels;        /* from the outermost; as many as ``room`` */
    Py_ssize_t depth, room;
    long long end, needs, steps;
} Scan;

/* What advance finds: the end, that more must come, or what the reference is to judge. */
typedef enum { DONE, MORE, ODD } Found;

PyObject *scan_new(Method *method, PyObject *limits, const Bounds *bounds)
{
    Scan *scan = (Scan *)method->scan->tp_alloc(method->scan, 0);
    if (scan == NULL)
        return NULL;
    scan->method = (Method *)Py_NewRef((PyObject *)method);
    scan->limits = Py_XNewRef(limits);
    scan->bounds = *bounds;
    scan->needs = 1;
    return (PyObject *)scan;
}

static Found needs(Scan *scan, int64_t more)
{
    if (scan->position + more > scan->bounds.message)
        return ODD;
    scan->needs = scan->position + more;
    return MORE;
}

static int enter(Scan *scan, const Shape *item, const Shape *value, uint64_t count)
{
    if (scan->depth == scan->room) {
        Py_ssize_t room = scan->room ? 2 * scan->room : 4;
        Level *levels = PyMem_Realloc(scan->levels, room * sizeof *levels);
        if (levels == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        scan->levels = levels;
        scan->room = room;
    }
    scan->levels[scan->depth++] = (Level){{item, value}, 0, count};
    return 0;
}

static Found count_items(Scan *scan, const Shape *shape, uint32_t count)
{
    const Shape *item = shape->item, *value = shape->value;
    scan->steps++;
    scan->position += 4;
    scan->counted += count;
    if (scan->counted > scan->bounds.items)
        return ODD;
    if (item->width && (value == NULL || value->width))
        scan->position += (int64_t)count * (item->width + (value ? value->width : 0));
    else if (enter(scan, item, value, count) < 0)
        return ODD;
    return DONE;
}

/* Goes through the levels to their end, or to a length or count that has not come. */
static Found walk(Scan *scan, const uint8_t *data, int64_t have)
{
    while (scan->depth) {
        Level *level = &scan->levels[scan->depth - 1];
        if (level->left == 0) {
            scan->depth--;
            continue;
        }
        const Shape *shape = level->parts[level->next];
        if (shape->width) {
            scan->position += shape->width;
        } else if (scan->position + 4 > have) {
            return needs(scan, 4);
        } else if (shape->item == NULL) {
            scan->steps++;
            scan->position += 4 + (int64_t)get32(data + scan->position);
        }
        if (++level->next == 2 || level->parts[1] == NULL) {
            level->next = 0;
            level->left--;
        }
        /* Last, as it may move the levels. */
        if (!shape->width && shape->item != NULL) {
            Found found = count_items(scan, shape, get32(data + scan->position));
            if (found != DONE)
                return found;
        }
    }
    return DONE;
}

static Found advance(Scan *scan, const uint8_t *data, int64_t have)
{
    if (scan->stage == KIND) {
        if (have == 0)
            return MORE;
        const Shape *result = scan->method->result;
        scan->position = 1;
        scan->stage = data[0] != 1 ? ONE_LENGTH : scan->method->optional ? FLAG : LEVELS;
        if (scan->stage == LEVELS && result != NULL && enter(scan, result, NULL, 1) < 0)
            return ODD;
    }
    if (scan->stage == FLAG) {
        if (have < 2)
            return needs(scan, 1);
        if (data[1] > 1)
            return ODD;
        scan->steps++;
        scan->position = 2;
        scan->stage = LEVELS;
        if (data[1] && scan->method->result != NULL && enter(scan, scan->method->result, NULL, 1) < 0)
            return ODD;
    }
    if (scan->stage == ONE_LENGTH) {
        if (have < 5)
            return needs(scan, 4);
        scan->steps++;
        scan->position = 5 + (int64_t)get32(data + 1);
        scan->stage = LEVELS;
    }
    Found found = walk(scan, data, have);
    if (found != DONE)
        return found;
    if (scan->position > scan->bounds.message)
        return ODD;
    if (scan->position > have)
        return needs(scan, 0);
    scan->end = scan->position;
    return DONE;
}

static PyObject *scan_advance(Scan *scan, PyObject *data)
{
    Py_buffer view;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    Found found = advance(scan, view.buf, view.len);
    PyBuffer_Release(&view);
    if (found != ODD)
        return PyBool_FromLong(found == DONE);
    PyObject *slow = ask(scan->method, SCAN, NULL, scan->limits);
    PyObject *answer = slow ? PyObject_CallMethod(slow, "advance", "O", data) : NULL;
    Py_XDECREF(slow);
    if (answer != NULL)
        PyErr_SetString(PyExc_SystemError, "the codecs differ about where a reply ends");
    Py_XDECREF(answer);
    return NULL;
}

static int scan_traverse(Scan *scan, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(scan));
    Py_VISIT((PyObject *)scan->method);
    Py_VISIT(scan->limits);
    return 0;
}

static void scan_dealloc(Scan *scan)
{
    PyTypeObject *type = Py_TYPE(scan);
    PyObject_GC_UnTrack(scan);
    Py_XDECREF((PyObject *)scan->method);
    Py_XDECREF(scan->limits);
    PyMem_Free(scan->levels);
    type->tp_free(scan);
    Py_DECREF(type);
}

static PyMethodDef scan_methods[] = {
    {"advance", (PyCFunction)scan_advance, METH_O,
     "advance(data): whether the reply is whole; data is all of it that has come."},
    {NULL},
};

static PyMemberDef scan_members[] = {
    {"end", T_LONGLONG, offsetof(Scan, end), READONLY, "Where the reply ends, once it is whole."},
    {"needs", T_LONGLONG, offsetof(Scan, needs), READONLY, "Bytes that it has at least, until then."},
    {"steps", T_LONGLONG, offsetof(Scan, steps), READONLY, "Lengths, counts and flags read so far."},
    {NULL},
};

static PyType_Slot scan_slots[] = {
    {Py_tp_doc, "Finds where one reply ends."},
    {Py_tp_dealloc, scan_dealloc},
    {Py_tp_traverse, scan_traverse},
    {Py_tp_methods, scan_methods},
    {Py_tp_members, scan_members},
    {0, NULL},
};

PyType_Spec scan_spec = {
    .name = "rpcgen.runtime.wire._codec.ReplyScan",
    .basicsize = sizeof(Scan),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = scan_slots,
};
