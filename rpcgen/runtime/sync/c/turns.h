/* What the parts of the turns in C share. */

#ifndef RPCGEN_TURNS_H
#define RPCGEN_TURNS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>

/* Bytes of one receive; longer messages take further ones, which are the caller's. */
#define ROOM (16 * 1024)

PyObject *turns_call(PyObject *module, PyObject *const *args, Py_ssize_t count);

#endif
