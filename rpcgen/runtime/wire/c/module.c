/* The module: its types, made anew for each interpreter that imports it. */

#include "codec.h"

static int module_exec(PyObject *module)
{
    State *state = PyModule_GetState(module);
    struct {
        PyTypeObject **type;
        PyType_Spec *spec;
        PyTypeObject **base;
    } types[] = {
        {&state->shape, &shape_spec}, {&state->method, &method_spec}, {&state->scan, &scan_spec},
        {&state->answer, &answer_spec}, {&state->flow, &flow_spec},
        {&state->client_flow, &client_flow_spec, &state->flow},
        {&state->server_flow, &server_flow_spec, &state->flow},
        {&state->tailed, &tailed_spec}, {&state->incoming, &incoming_spec}};
    for (size_t index = 0; index < sizeof types / sizeof *types; index++) {
        *types[index].type = (PyTypeObject *)PyType_FromModuleAndSpec(
            module, types[index].spec, types[index].base ? (PyObject *)*types[index].base : NULL);
        if (*types[index].type == NULL || PyModule_AddType(module, *types[index].type) < 0)
            return -1;
    }
    return 0;
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
    State *state = PyModule_GetState(module);
    Py_VISIT((PyObject *)state->shape);
    Py_VISIT((PyObject *)state->method);
    Py_VISIT((PyObject *)state->scan);
    Py_VISIT((PyObject *)state->answer);
    Py_VISIT((PyObject *)state->flow);
    Py_VISIT((PyObject *)state->client_flow);
    Py_VISIT((PyObject *)state->server_flow);
    Py_VISIT((PyObject *)state->tailed);
    Py_VISIT((PyObject *)state->incoming);
    return 0;
}

static int module_clear(PyObject *module)
{
    State *state = PyModule_GetState(module);
    Py_CLEAR(state->shape);
    Py_CLEAR(state->method);
    Py_CLEAR(state->scan);
    Py_CLEAR(state->answer);
    Py_CLEAR(state->flow);
    Py_CLEAR(state->client_flow);
    Py_CLEAR(state->server_flow);
    Py_CLEAR(state->tailed);
    Py_CLEAR(state->incoming);
    for (int index = 0; index < SPARES; index++) {
        Py_CLEAR(state->spares[index].bytes);
        Py_CLEAR(state->received.latest[index].bytes);
    }
    return 0;
}

static void module_free(void *module) { module_clear(module); }

static PyMethodDef module_methods[] = {
    {"tail_begin", (PyCFunction)(void (*)(void))tail_begin, METH_FASTCALL,
     "tail_begin(data, pos): where the last value of a frame begins, if it is long; else 0."},
    {NULL},
};

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
    {0, NULL},
};

static struct PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT,
    .m_name = "rpcgen.runtime.wire._codec",
    .m_doc = "The message codec in C; made use of by rpcgen.runtime.wire.native alone.",
    .m_size = sizeof(State),
    .m_methods = module_methods,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__codec(void) { return PyModuleDef_Init(&module_def); }
