/* What the parts of the turns in C share. */

#ifndef RPCGEN_TURNS_H
#define RPCGEN_TURNS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "../../wire/c/tail.h"

/* Bytes of one receive; longer messages take further ones, into memory of their own. */
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

/* Pieces that are sent as one message. */
typedef struct {
    int fd;
    struct iovec pieces[3];
    int count;
    Py_ssize_t sent;
} Sending;

/* Bytes as such a piece, or nothing as one of none. */
static inline struct iovec piece_of(PyObject *bytes)
{
    return bytes == NULL ? (struct iovec){NULL, 0}
                         : (struct iovec){PyBytes_AS_STRING(bytes), PyBytes_GET_SIZE(bytes)};
}

double now(void);
int wait_for(int fd, short what, int quiet, double until);
int send_pieces(Sending *sending, double until, bool waits);

/* The module's: names of attributes, the types of messages in two pieces and of connections, and RemoteException. */
typedef struct {
    PyObject *serving, *reply, *head, *tail, *call, *drop, *tidy, *notes, *tailed;
    PyTypeObject *line, *declared;
} State;

/* A long message whose beginning has come: its size, where what is wanted of it begins, and where its last value does,
   or 0. The rest is left to the caller if nothing comes for so many milliseconds, or not all of it until a time. */
typedef struct {
    int fd;
    const char *room;
    Py_ssize_t received, size, begin, tail;
    int quiet;
    double until;
} Begun;

PyObject *rest_of(const State *state, const Begun *begun, PyObject **come);
PyObject *joined(const char *first, Py_ssize_t first_size, const char *second, Py_ssize_t second_size);
int two_pieces(const State *state, PyObject *message, PyObject **head, PyObject **tail);

static inline uint32_t number_at(const char *at) { return big_endian((const uint8_t *)at); }

static inline void put_big_endian(uint8_t *at, uint32_t number)
{
    at[0] = (uint8_t)(number >> 24);
    at[1] = (uint8_t)(number >> 16);
    at[2] = (uint8_t)(number >> 8);
    at[3] = (uint8_t)number;
}

PyObject *make_call(
    const State *state, int fd, PyObject *frame, long long id, double seconds, Py_ssize_t longest);
PyObject *make_exchange(
    const State *state, int fd, PyObject *message, double seconds, Py_ssize_t tail, Py_ssize_t longest);

extern PyType_Spec line_spec, calls_spec;

PyObject *turns_exchange(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *turns_call(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *turns_serve(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *turns_serve_frames(PyObject *module, PyObject *const *args, Py_ssize_t count);

#endif
