"""The tests mirror rpcgen/, a folder a layer; golden/ holds expected outputs, support/ what several tests need."""
