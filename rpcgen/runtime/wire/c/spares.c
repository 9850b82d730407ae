/* Memory of large messages, kept for the next ones: an allocator gives it back to the system and takes it anew, page by
   page, each time, which costs ten times what it costs to write it. */

#include "codec.h"

/* One with so much room, or none; who takes it has it alone. */
Spare take_spare(Spare *spares, Py_ssize_t room)
{
    for (int index = 0; room >= LARGE && index < SPARES; index++) {
        Spare found = spares[index];
        if (found.bytes != NULL && found.room >= room && Py_REFCNT(found.bytes) == 1) {
            spares[index].bytes = NULL;
            return found;
        }
    }
    return (Spare){NULL, 0};
}

/* Keeps a message's memory, if there is a place: an empty one, or that of a smaller one that nobody uses. */
bool keep_spare(Spare *spares, PyObject *bytes, Py_ssize_t room)
{
    for (int index = 0; room >= LARGE && room <= LARGEST_SPARE && index < SPARES; index++) {
        Spare *place = &spares[index];
        if (place->bytes == NULL || (place->room < room && Py_REFCNT(place->bytes) == 1)) {
            Py_XSETREF(place->bytes, Py_NewRef(bytes));
            place->room = room;
            return true;
        }
    }
    return false;
}

/* Makes bytes that nobody else has seen as long as their message: their memory stays what it is. */
void cut(PyObject *bytes, Py_ssize_t size)
{
    Py_SET_SIZE(bytes, size);
    PyBytes_AS_STRING(bytes)[size] = 0;
    /* Nothing else puts back the hash of their last message, which may have been asked for. */
    _Py_COMP_DIAG_PUSH
    _Py_COMP_DIAG_IGNORE_DEPR_DECLS
    ((PyBytesObject *)bytes)->ob_shash = -1;
    _Py_COMP_DIAG_POP
}

/* Bytes to be received, of any content. They become a value, which its owner may keep: so the latest stay known here,
   whether they are in use or not, and none takes memory that is much larger than it. */
PyObject *bytes_to_receive(Received *received, Py_ssize_t size)
{
    for (int index = 0; index < SPARES; index++) {
        Spare *spare = &received->latest[index];
        Py_ssize_t more = spare->room - size;
        if (spare->bytes != NULL && more >= 0 && more <= size / 4 && Py_REFCNT(spare->bytes) == 1) {
            cut(spare->bytes, size);
            return Py_NewRef(spare->bytes);
        }
    }
    /* Pages that nobody has written are not there yet: a size that is announced alone costs next to nothing. */
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, size);
    if (bytes != NULL && size <= LARGEST_SPARE) {
        Spare *oldest = &received->latest[received->next];
        received->next = (received->next + 1) % SPARES;
        oldest->room = size;
        Py_XSETREF(oldest->bytes, Py_NewRef(bytes));
    }
    return bytes;
}
