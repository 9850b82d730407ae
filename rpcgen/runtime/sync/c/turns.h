/* What the parts of the turns in C share. */

#ifndef RPCGEN_TURNS_H
#define RPCGEN_TURNS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stdint.h>

/* Bytes of one receive; longer messages take further ones, which are the caller's. */
#define ROOM (16 * 1024)

typedef struct {
    int fd;
    const char *message;      /* NULL: nothing is to be sent */
    Py_ssize_t size, sent;
    bool receives;
    Py_ssize_t received;      /* below 0: an error */
    int error;                /* of whichever failed */
    char room[ROOM];
} Turn;

int take(Turn *turn);

/* The module's: names of attributes. */
typedef struct {
    PyObject *serving, *reply;
} State;

static inline uint32_t number_at(const char *at)
{
    const unsigned char *p = (const unsigned char *)at;
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

PyObject *turns_call(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *turns_serve(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *turns_serve_frames(PyObject *module, PyObject *const *args, Py_ssize_t count);

#endif
