/* The message codec in C: the same bytes and values as the Python codec beside it, faster.

   Descriptors become a tree of Shapes, made once (rpcgen/runtime/wire/native.py); encode.c and
   decode.c walk it. They know messages without surprises alone. At anything else they give up
   (NULL or -1, with or without a Python error), and Method hands the whole message to the
   reference codec, which gives the right result or the right error. So no error is worded here.

   Nothing is kept outside of objects and the module's state. Only PyMemberDescrObject, to read
   the slots of value classes, and in 3.11 the digits of an int go beyond the documented API;
   both are checked or guarded where they are used. */

#ifndef RPCGEN_CODEC_H
#define RPCGEN_CODEC_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "tail.h"

#if PY_VERSION_HEX < 0x030B0000
#error "rpcgen needs Python 3.11 or newer"
#endif

#if !defined(__GNUC__)
#define __builtin_expect(condition, usual) (condition)
#define INLINE inline
#define APART
#else
#define INLINE inline __attribute__((always_inline))
/* A function whose registers its callers need not save: what calls it last is a jump. */
#define APART __attribute__((noinline))
#endif
#define RARE(condition) __builtin_expect(!!(condition), 0)

/* Bytes of a CALL frame before its arguments, without the method's name: head, the name's length, milliseconds. */
#define CALL_HEAD 15

/* Levels of C calls; deeper values are left to the reference, which uses Python's own stack. */
#define MOST_NESTING 100

typedef enum {
    /* Numbers: written and read without running any Python code. */
    K_BYTE, K_SHORT, K_INT, K_LONG, K_UBYTE, K_USHORT, K_UINT, K_ULONG, K_FLOAT, K_DOUBLE, K_BOOL,
    /* Of fixed width too, by way of Python objects. */
    K_ENUM, K_TIMESTAMP, K_DATE, K_DURATION, K_UUID,
    /* A length, then so many bytes. */
    K_STRING, K_BYTES, K_DECIMAL, K_MESSAGE,
    K_RECORD, K_UNION,
    /* A count, then so many items. */
    K_LIST, K_SET, K_MAP,
} Kind;

#define IS_NUMBER(kind) ((kind) <= K_BOOL)

/* What stands for a field that is not there. */
typedef enum {
    REQUIRED,   /* nothing: it must be there */
    CONSTANT,   /* an object that cannot change */
    LIST, SET, MAP, /* a new empty one */
    MADE,       /* what a function gives */
    GONE,       /* the field is reserved: it is read past */
} Absence;

struct Shape;

typedef struct {
    uint8_t tag;
    bool optional;        /* None leaves it out */
    Absence absence;
    Py_ssize_t place;     /* among the arguments of the constructor or method */
    Py_ssize_t offset;    /* of the slot in an instance; 0: read by name */
    struct Shape *shape;
    PyObject *name;
    PyObject *absent;     /* the CONSTANT, or what makes a MADE one */
    PyObject *left_out;   /* the bytes of the default, which are not written; or NULL */
    PyObject *cls;        /* of a union's case */
} Field;

typedef struct Shape {
    PyObject_HEAD
    Kind kind;
    int width;            /* bytes of a value of fixed width, else 0 */
    int least;            /* bytes that a value takes at least */
    bool acyclic;         /* what is read as this can be no part of a cycle: the collector need not know it */
    bool direct;          /* instances are made by setting their slots */
    bool bare;            /* and an instance is slots alone, from the allocator of objects and back to it */
    int highest;          /* tag that is known, reserved ones included */
    int even;             /* bytes of a record of numbers that must all be there, without its length; else 0 */
    Py_ssize_t places;    /* of the constructor or method */
    Py_ssize_t count;
    Field *fields;        /* by their tags */
    struct Shape *item;   /* of a list or set; the key of a map */
    struct Shape *value;  /* of a map */
    PyObject *cls;        /* enum, exception, struct; of a union that of unknown members */
    PyObject *to_wire;    /* what converts a value */
    PyObject *from_wire;
    PyObject *members;    /* of an enum: number → member */
    PyObject *name;       /* of the attribute that holds the message of an exception without a body */
} Shape;

/* What limits a message: those of rpc.Limits that count here. */
typedef struct {
    Py_ssize_t items;
    int64_t message;
    int room;
} Bounds;

/* Memory of a large message; see spares.c. */
#define LARGEST_SPARE (4 * 1024 * 1024)
#define SPARES 2
typedef struct {
    PyObject *bytes;
    Py_ssize_t room;      /* of its memory; its size is that of its message */
} Spare;

/* Of the last few that were received, and whose place the next one takes. */
typedef struct {
    Spare latest[SPARES];
    int next;
} Received;

Spare take_spare(Spare *spares, Py_ssize_t room);
bool keep_spare(Spare *spares, PyObject *bytes, Py_ssize_t room);
void cut(PyObject *bytes, Py_ssize_t size);
PyObject *bytes_to_receive(Received *received, Py_ssize_t size);

/* A message in two pieces; see tailed.c. */
typedef struct {
    PyObject_HEAD
    PyObject *head, *tail;
    PyObject *whole;      /* both as one, once somebody has asked for that; or NULL */
} Tailed;

/* Everything that one method's messages need. */
typedef struct {
    PyObject_HEAD
    Spare *spares;        /* the module's, which lives as long as this object's type */
    PyObject *prefix;     /* of its calls: the length of its name, and the name */
    Shape *arguments;
    Shape *result;        /* NULL: void */
    bool optional;        /* a flag stands before the result */
    PyObject *raises;     /* Shapes of the exceptions after => */
    PyObject *raised;     /* class of an exception → the number of what it is raised as */
    PyObject *slow;       /* what decides where this cannot, one for each kind of message */
    PyObject *default_;   /* stands for an argument that is left out */
    PyObject *limits;     /* those of whoever gives none */
    Bounds bounds;        /* the same */
    PyTypeObject *scan, *answer, *tailed;
    const Field *last;    /* of the arguments, if it is bytes that may be long; or NULL */
    Py_ssize_t sizes[3];  /* of the last call, reply, raised exception: room for the next */
} Method;

/* Bytes being written. */
typedef struct {
    uint8_t *at, *end, *begin;
    PyObject *bytes;      /* that begin points into, or NULL: into the caller's own */
    Spare *spares;
    int room;             /* levels of nesting left */
} Writer;

/* Bytes being read. */
typedef struct {
    const uint8_t *at, *end;
    Py_ssize_t items;     /* that may still come */
    int room;
} Reader;

typedef struct {
    PyTypeObject *shape;
    PyTypeObject *method;
    PyTypeObject *scan;
    PyTypeObject *answer;
    PyTypeObject *flow, *client_flow, *server_flow;
    PyTypeObject *tailed, *incoming;
    Spare spares[SPARES];
    Received received;
} State;

/* Each gives -1 or NULL where the reference must decide. */
int write_value(Writer *writer, const Shape *shape, PyObject *value);
int write_fields(Writer *writer, const Shape *shape, PyObject *instance, PyObject *const *values, PyObject *default_);
int write_room(Writer *writer, Py_ssize_t more);
PyObject *even_reply(const Shape *shape, PyObject *value);
PyObject *read_even_reply(const Shape *shape, PyObject *data);
PyObject *read_value(Reader *reader, const Shape *shape);
int read_fields(Reader *reader, const Shape *shape, PyObject **values, bool arguments);
int read_tailed_fields(const Tailed *message, const Bounds *bounds, const Shape *shape, PyObject **values);
PyObject *read_tail(Reader *reader, const Shape *shape, PyObject *tail);

/* Asks what decides for a kind of message, after an error that is not the interpreter's own. */
typedef enum { CALL, ARGUMENTS, REPLY, RAISED, RESULT, QUICK, SCAN, FRAME, BLOCK, PLAIN } Message;
PyObject *ask(Method *method, Message message, PyObject *value, PyObject *limits);

/* What answer.c needs of method.c. */
int parse_limits(PyObject *limits, Bounds *bounds);
int write_reply(Writer *writer, const Method *method, PyObject *value);
int write_raised(Writer *writer, const Method *method, PyObject *exception);
int read_arguments(const Method *method, PyObject *data, const Bounds *bounds, PyObject **values);

/* Whether a value is sent from where it is. */
static inline bool is_long(PyObject *value) { return PyBytes_CheckExact(value) && PyBytes_GET_SIZE(value) >= LARGE; }

/* The reply that returns long bytes; for a result of bytes alone. */
PyObject *long_reply(const Method *method, PyObject *value);
static inline bool has_long_reply(const Method *method, PyObject *value)
{
    return method->result != NULL && method->result->kind == K_BYTES && is_long(value);
}

/* Begins to read bytes, a bytearray or a memoryview; -1 for anything else. done_reading ends it. */
int begin_reading(Reader *reader, PyObject *data, const Bounds *bounds, Py_buffer *view);
static inline void done_reading(Py_buffer *view) { if (view->obj != NULL) PyBuffer_Release(view); }

PyObject *answer_new(Method *method, PyObject *const *args, Py_ssize_t count);

PyObject *tailed_new(PyTypeObject *type, PyObject *head, PyObject *tail); /* takes the head, which may be NULL */
PyObject *tail_begin(PyObject *module, PyObject *const *args, Py_ssize_t count);

PyObject *scan_new(Method *method, PyObject *limits, const Bounds *bounds);
PyObject *finished_large(Writer *writer, Py_ssize_t size);

extern PyType_Spec shape_spec, method_spec, scan_spec, answer_spec, flow_spec, client_flow_spec, server_flow_spec,
    tailed_spec, incoming_spec;

/* Where a writer stood: what follows can be measured, or taken back. */
static inline Py_ssize_t written(const Writer *writer) { return writer->at - writer->begin; }

static INLINE int have_room(Writer *writer, Py_ssize_t more)
{
    return RARE(writer->end - writer->at < more) ? write_room(writer, more) : 0;
}

/* A message is begun on the stack, where it ends if it is small. */
#define SMALL 1024
static INLINE int begin(Writer *writer, const Method *method, uint8_t *small, Py_ssize_t expected, int room)
{
    *writer = (Writer){.at = small, .end = small + SMALL, .begin = small, .spares = method->spares, .room = room};
    /* And some more: writers ask for the room that a field takes at most. */
    return RARE(expected > SMALL - 32) ? write_room(writer, expected + 32) : 0;
}

static INLINE PyObject *finished(Writer *writer, Py_ssize_t *size)
{
    *size = written(writer);
    if (RARE(writer->bytes != NULL))
        return finished_large(writer, *size);
    return PyBytes_FromStringAndSize((const char *)writer->begin, *size);
}

/* Most strings are short: a call costs more than to copy them. */
static INLINE void copy(uint8_t *to, const uint8_t *from, Py_ssize_t size)
{
    if (size > 32) {
        memcpy(to, from, size);
    } else if (size >= 16) {
        memcpy(to, from, 16);
        memcpy(to + size - 16, from + size - 16, 16);
    } else if (size >= 8) {
        memcpy(to, from, 8);
        memcpy(to + size - 8, from + size - 8, 8);
    } else if (size >= 4) {
        memcpy(to, from, 4);
        memcpy(to + size - 4, from + size - 4, 4);
    } else {
        while (size-- > 0)
            *to++ = *from++;
    }
}

/* The wire is big-endian. */
#if defined(__GNUC__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define BIG16(n) __builtin_bswap16(n)
#define BIG32(n) __builtin_bswap32(n)
#define BIG64(n) __builtin_bswap64(n)
#elif defined(__GNUC__)
#define BIG16(n) (n)
#define BIG32(n) (n)
#define BIG64(n) (n)
#endif

#ifdef BIG64
#define TO_AND_FROM(bits) \
    static INLINE void put##bits(uint8_t *p, uint##bits##_t n) { n = BIG##bits(n); memcpy(p, &n, sizeof n); } \
    static INLINE uint##bits##_t get##bits(const uint8_t *p) \
    { uint##bits##_t n; memcpy(&n, p, sizeof n); return BIG##bits(n); }
#else
#define TO_AND_FROM(bits) \
    static INLINE void put##bits(uint8_t *p, uint##bits##_t n) \
    { for (int i = 0; i < bits / 8; i++) p[i] = (uint8_t)(n >> (bits - 8 - 8 * i)); } \
    static INLINE uint##bits##_t get##bits(const uint8_t *p) \
    { uint##bits##_t n = 0; for (int i = 0; i < bits / 8; i++) n = (uint##bits##_t)(n << 8 | p[i]); return n; }
#endif
TO_AND_FROM(16)
TO_AND_FROM(32)
TO_AND_FROM(64)

/* Of a number of a kind that the compiler knows. */
static INLINE int width_of(Kind kind)
{
    switch (kind) {
    case K_BYTE: case K_UBYTE: case K_BOOL: return 1;
    case K_SHORT: case K_USHORT: return 2;
    case K_INT: case K_UINT: case K_FLOAT: return 4;
    default: return 8;
    }
}

#endif
