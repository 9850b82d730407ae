/* Shapes: what a type is on the wire and in Python, as encode.c and decode.c need it. Made by native.py. */

#include "codec.h"

#include <structmember.h>

static const struct {
    const char *name;
    Kind kind;
    int width, least;
} KINDS[] = {
    {"bool", K_BOOL, 1, 1}, {"byte", K_BYTE, 1, 1}, {"short", K_SHORT, 2, 2}, {"int", K_INT, 4, 4},
    {"long", K_LONG, 8, 8}, {"ubyte", K_UBYTE, 1, 1}, {"ushort", K_USHORT, 2, 2}, {"uint", K_UINT, 4, 4},
    {"ulong", K_ULONG, 8, 8}, {"float", K_FLOAT, 4, 4}, {"double", K_DOUBLE, 8, 8},
    {"enum", K_ENUM, 4, 4}, {"timestamp", K_TIMESTAMP, 8, 8}, {"date", K_DATE, 4, 4},
    {"duration", K_DURATION, 8, 8}, {"uuid", K_UUID, 16, 16},
    {"string", K_STRING, 0, 4}, {"bytes", K_BYTES, 0, 4}, {"decimal", K_DECIMAL, 0, 4},
    {"message", K_MESSAGE, 0, 4}, {"record", K_RECORD, 0, 4}, {"union", K_UNION, 0, 4},
    {"list", K_LIST, 0, 4}, {"set", K_SET, 0, 4}, {"map", K_MAP, 0, 4},
};

static const struct {
    const char *name;
    Absence absence;
} ABSENCES[] = {
    {"required", REQUIRED}, {"constant", CONSTANT}, {"list", LIST}, {"set", SET}, {"map", MAP},
    {"made", MADE}, {"gone", GONE},
};

#define LENGTH(table) (sizeof(table) / sizeof *(table))

static bool is_given(PyObject *object) { return object != NULL && object != Py_None; }

/* What each kind must be given, so that no other code has to look. */
static const char *what_is_missing(const Shape *shape)
{
    switch (shape->kind) {
    case K_LIST: case K_SET:
        return shape->item ? NULL : "item";
    case K_MAP:
        return shape->item && shape->value ? NULL : "item or value";
    case K_ENUM:
        return shape->cls && shape->from_wire && shape->members && PyDict_Check(shape->members) ? NULL
            : "cls, from_wire or members";
    case K_TIMESTAMP: case K_DATE: case K_DURATION: case K_UUID: case K_DECIMAL:
        return shape->to_wire && shape->from_wire ? NULL : "to_wire or from_wire";
    case K_MESSAGE:
        return shape->cls && shape->name && PyUnicode_Check(shape->name) ? NULL : "cls or name";
    case K_UNION:
        return shape->cls ? NULL : "cls";
    default:
        return shape->cls == NULL || PyType_Check(shape->cls) ? NULL : "cls";
    }
}

static PyObject *shape_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {
        "kind", "item", "value", "of", "to_wire", "from_wire", "members", "name", "acyclic", "direct", NULL};
    const char *name;
    PyObject *item = NULL, *value = NULL, *cls = NULL, *to_wire = NULL, *from_wire = NULL, *members = NULL;
    PyObject *attribute = NULL;
    int acyclic = 0, direct = 0;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "s|OOOOOOOpp:Shape", names, &name, &item, &value, &cls,
            &to_wire, &from_wire, &members, &attribute, &acyclic, &direct))
        return NULL;
    size_t row = 0;
    while (row < LENGTH(KINDS) && strcmp(KINDS[row].name, name) != 0)
        row++;
    if (row == LENGTH(KINDS))
        return PyErr_Format(PyExc_ValueError, "there is no kind %s", name);
    if ((is_given(item) && !Py_IS_TYPE(item, type)) || (is_given(value) && !Py_IS_TYPE(value, type)))
        return PyErr_Format(PyExc_TypeError, "item and value must be Shapes");
    Shape *shape = (Shape *)type->tp_alloc(type, 0);
    if (shape == NULL)
        return NULL;
    shape->kind = KINDS[row].kind;
    shape->width = KINDS[row].width;
    shape->least = KINDS[row].least;
    shape->acyclic = acyclic;
    shape->direct = direct && shape->kind == K_MESSAGE && is_given(cls) && PyExceptionClass_Check(cls);
    shape->item = is_given(item) ? (Shape *)Py_NewRef(item) : NULL;
    shape->value = is_given(value) ? (Shape *)Py_NewRef(value) : NULL;
    shape->cls = is_given(cls) ? Py_NewRef(cls) : NULL;
    shape->to_wire = is_given(to_wire) ? Py_NewRef(to_wire) : NULL;
    shape->from_wire = is_given(from_wire) ? Py_NewRef(from_wire) : NULL;
    shape->members = is_given(members) ? Py_NewRef(members) : NULL;
    shape->name = is_given(attribute) ? Py_NewRef(attribute) : NULL;
    const char *missing = what_is_missing(shape);
    if (missing != NULL) {
        Py_DECREF(shape);
        return PyErr_Format(PyExc_TypeError, "a Shape of kind %s needs a proper %s", name, missing);
    }
    return (PyObject *)shape;
}

/* Where an instance of exactly this class keeps an attribute, if that is a plain slot; else 0. */
static Py_ssize_t slot_of(PyObject *cls, PyObject *name)
{
    if (cls == NULL || !PyType_Check(cls) || ((PyTypeObject *)cls)->tp_getattro != PyObject_GenericGetAttr)
        return 0;
    PyObject *found = PyObject_GetAttr(cls, name);
    if (found == NULL) {
        PyErr_Clear();
        return 0;
    }
    Py_ssize_t offset = 0;
    if (Py_IS_TYPE(found, &PyMemberDescr_Type)) {
        PyMemberDescrObject *member = (PyMemberDescrObject *)found;
        Py_ssize_t last = ((PyTypeObject *)cls)->tp_basicsize - (Py_ssize_t)sizeof(PyObject *);
        if (PyType_IsSubtype((PyTypeObject *)cls, PyDescr_TYPE(member)) && member->d_member->type == T_OBJECT_EX
            && member->d_member->flags == 0 && member->d_member->offset >= (Py_ssize_t)sizeof(PyObject)
            && member->d_member->offset <= last)
            offset = member->d_member->offset;
    }
    Py_DECREF(found);
    return offset;
}

static void release_fields(Field *fields, Py_ssize_t count)
{
    for (Py_ssize_t index = 0; index < count; index++) {
        Field *field = &fields[index];
        Py_XDECREF((PyObject *)field->shape);
        Py_XDECREF(field->name);
        Py_XDECREF(field->absent);
        Py_XDECREF(field->left_out);
        Py_XDECREF(field->cls);
    }
    PyMem_Free(fields);
}

/* One row: (tag, absence, optional, place, attribute, shape, absent, left_out, class of a union's case) */
static int fill_field(Shape *shape, Field *field, PyObject *row)
{
    int tag, optional;
    const char *absence;
    Py_ssize_t place;
    PyObject *name, *type, *absent, *left_out, *cls;
    if (!PyTuple_Check(row)) {
        PyErr_SetString(PyExc_TypeError, "a field is a tuple");
        return -1;
    }
    if (!PyArg_ParseTuple(row, "ispnUO!OOO:field", &tag, &absence, &optional, &place, &name, Py_TYPE(shape),
            &type, &absent, &left_out, &cls))
        return -1;
    size_t number = 0;
    while (number < LENGTH(ABSENCES) && strcmp(ABSENCES[number].name, absence) != 0)
        number++;
    if (number == LENGTH(ABSENCES) || tag < 1 || tag > 255 || (is_given(left_out) && !PyBytes_Check(left_out))) {
        PyErr_Format(PyExc_ValueError, "not a field: %R", row);
        return -1;
    }
    field->tag = (uint8_t)tag;
    field->absence = ABSENCES[number].absence;
    field->optional = optional;
    field->place = place;
    field->name = Py_NewRef(name);
    PyUnicode_InternInPlace(&field->name);
    field->shape = (Shape *)Py_NewRef(type);
    field->absent = Py_NewRef(absent);
    field->left_out = is_given(left_out) ? Py_NewRef(left_out) : NULL;
    field->cls = is_given(cls) ? Py_NewRef(cls) : NULL;
    field->offset = field->absence == GONE ? 0 : slot_of(field->cls ? field->cls : shape->cls, field->name);
    return 0;
}

/* Each place is filled by one field, so that no value is lost or missing. */
static bool are_placed(const Field *fields, Py_ssize_t count, Py_ssize_t places)
{
    bool taken[256] = {false};
    Py_ssize_t left = places;
    for (const Field *field = fields; field < fields + count; field++) {
        if (field->absence == GONE)
            continue;
        if (field->place < 0 || field->place >= places || field->place > 255 || taken[field->place])
            return false;
        taken[field->place] = true;
        left--;
    }
    return left == 0;
}

/* Whether PyObject_New makes what tp_alloc would make. */
static bool is_bare(PyTypeObject *cls)
{
    bool is_managed = false;
#ifdef Py_TPFLAGS_MANAGED_DICT
    is_managed = is_managed || (cls->tp_flags & Py_TPFLAGS_MANAGED_DICT);
#endif
#ifdef Py_TPFLAGS_MANAGED_WEAKREF
    is_managed = is_managed || (cls->tp_flags & Py_TPFLAGS_MANAGED_WEAKREF);
#endif
    return !is_managed && !PyType_IS_GC(cls) && cls->tp_itemsize == 0 && cls->tp_alloc == PyType_GenericAlloc
        && cls->tp_free == PyObject_Free;
}

/* Bytes of the fields if each is a number in a slot that must be there, else 0. */
static int even_size(const Field *fields, Py_ssize_t count)
{
    int size = 0;
    for (const Field *field = fields; field < fields + count; field++) {
        bool is_plain = field->absence == REQUIRED && !field->optional && field->left_out == NULL && field->offset > 0;
        if (!is_plain || !IS_NUMBER(field->shape->kind))
            return 0;
        size += 1 + field->shape->width;
    }
    return size;
}

static PyObject *shape_fill(Shape *shape, PyObject *args)
{
    PyObject *rows;
    int direct, highest;
    if (!PyArg_ParseTuple(args, "O!pi:fill", &PyTuple_Type, &rows, &direct, &highest))
        return NULL;
    Py_ssize_t count = PyTuple_GET_SIZE(rows), made = 0, places = 0;
    if (shape->fields != NULL || (shape->kind != K_RECORD && shape->kind != K_UNION))
        return PyErr_Format(PyExc_TypeError, "this Shape takes no fields, or has them already");
    Field *fields = PyMem_Calloc(count ? count : 1, sizeof *fields);
    if (fields == NULL)
        return PyErr_NoMemory();
    bool ascend = true;
    for (; made < count; made++) {
        if (fill_field(shape, &fields[made], PyTuple_GET_ITEM(rows, made)) < 0) {
            release_fields(fields, made + 1);
            return NULL;
        }
        ascend = ascend && (made == 0 || fields[made - 1].tag < fields[made].tag);
        places += fields[made].absence != GONE;
        if (fields[made].absence != GONE && fields[made].offset == 0)
            direct = 0;
    }
    bool cases = true;
    for (Py_ssize_t index = 0; shape->kind == K_UNION && index < count; index++)
        cases = cases && fields[index].cls != NULL;
    /* A union's members need no order, nor places. */
    if (shape->kind == K_UNION ? !cases : !ascend || !are_placed(fields, count, places)) {
        release_fields(fields, count);
        return PyErr_Format(PyExc_ValueError, "these fields make no block");
    }
    shape->fields = fields;
    shape->count = count;
    shape->places = places;
    shape->highest = highest;
    shape->direct = direct && shape->cls != NULL;
    shape->bare = shape->direct && is_bare((PyTypeObject *)shape->cls);
    shape->even = shape->kind == K_RECORD && shape->cls != NULL ? even_size(fields, count) : 0;
    Py_RETURN_NONE;
}

static int shape_traverse(Shape *shape, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(shape));
    Py_VISIT((PyObject *)shape->item);
    Py_VISIT((PyObject *)shape->value);
    Py_VISIT(shape->cls);
    Py_VISIT(shape->to_wire);
    Py_VISIT(shape->from_wire);
    Py_VISIT(shape->members);
    Py_VISIT(shape->name);
    for (Py_ssize_t index = 0; index < shape->count; index++) {
        Field *field = &shape->fields[index];
        Py_VISIT((PyObject *)field->shape);
        Py_VISIT(field->absent);
        Py_VISIT(field->cls);
    }
    return 0;
}

static int shape_clear(Shape *shape)
{
    /* Of the fields alone: every cycle of Shapes goes through one. What is left keeps its other parts
       for as long as it lives, so that a Shape in use always has what its kind needs. */
    Field *fields = shape->fields;
    Py_ssize_t count = shape->count;
    shape->fields = NULL;
    shape->count = 0;
    shape->places = 0;
    if (fields != NULL)
        release_fields(fields, count);
    return 0;
}

static void shape_dealloc(Shape *shape)
{
    PyTypeObject *type = Py_TYPE(shape);
    PyObject_GC_UnTrack(shape);
    shape_clear(shape);
    Py_XDECREF((PyObject *)shape->item);
    Py_XDECREF((PyObject *)shape->value);
    Py_XDECREF(shape->cls);
    Py_XDECREF(shape->to_wire);
    Py_XDECREF(shape->from_wire);
    Py_XDECREF(shape->members);
    Py_XDECREF(shape->name);
    type->tp_free(shape);
    Py_DECREF(type);
}

static PyMethodDef shape_methods[] = {
    {"fill", (PyCFunction)shape_fill, METH_VARARGS,
     "fill(fields, direct, highest): gives a record or union its fields, once."},
    {NULL},
};

static PyType_Slot shape_slots[] = {
    {Py_tp_doc, "What a type is on the wire and in Python."},
    {Py_tp_new, shape_new},
    {Py_tp_dealloc, shape_dealloc},
    {Py_tp_traverse, shape_traverse},
    {Py_tp_clear, shape_clear},
    {Py_tp_methods, shape_methods},
    {0, NULL},
};

PyType_Spec shape_spec = {
    .name = "rpcgen.runtime.wire._codec.Shape",
    .basicsize = sizeof(Shape),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = shape_slots,
};
