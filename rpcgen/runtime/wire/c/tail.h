/* Where the last value of a long message begins: one rule for sessions (tailed.c) and turns (rpcgen/runtime/sync/c). */

#ifndef RPCGEN_TAIL_H
#define RPCGEN_TAIL_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

/* Bytes from which a message or a value is long: it has memory that is used again, or its own. */
#define LARGE (64 * 1024)

/* A value is looked for in so many bytes of a call's arguments; what begins later is received as one piece. */
#define LOOKED_AT 1024

/* Bytes of a frame before its payload; its kind and flags. */
enum { FRAME_HEAD = 10, CALL_FRAME = 0x100, REPLY_FRAME = 0x200 };

static inline uint32_t big_endian(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* Of a message of a size, of which so many bytes have come: where the value begins that ends with it, whose length
   stands between two places; 0 where there is none of LARGE bytes. A length is taken for one if it fits: whoever decodes
   the message finds out if it was none. */
static inline Py_ssize_t last_value(
    const uint8_t *message, Py_ssize_t there, int64_t size, Py_ssize_t first, Py_ssize_t last)
{
    for (Py_ssize_t at = first; at <= last && at + 4 <= there && size - at - 4 >= LARGE; at++)
        if (big_endian(message + at) == size - at - 4)
            return at + 4;
    return 0;
}

/* The same of a call's arguments, which begin at a place. */
static inline Py_ssize_t last_argument(const uint8_t *message, Py_ssize_t there, int64_t size, Py_ssize_t block)
{
    return last_value(message, there, size, block + 1, block + 1 + LOOKED_AT);
}

/* The same of a CALL or REPLY without flags. */
static inline Py_ssize_t find_tail(const uint8_t *frame, Py_ssize_t there)
{
    if (there <= FRAME_HEAD)
        return 0;
    int64_t size = (int64_t)big_endian(frame) + 4;
    uint32_t word = (uint32_t)frame[4] << 8 | frame[5];
    if (word == REPLY_FRAME) /* a kind, perhaps a flag, and the value */
        return last_value(frame, there, size, FRAME_HEAD + 1, FRAME_HEAD + 2);
    if (word == CALL_FRAME) /* a name and milliseconds before the arguments */
        return last_argument(frame, there, size, FRAME_HEAD + 1 + frame[FRAME_HEAD] + 4);
    return 0;
}

#endif
