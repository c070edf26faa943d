#include "reactor/source.h"

const char *const source_type_names[] = {
	[SOURCE_NOP] = "nop",
	[SOURCE_POLL] = "poll",
	[SOURCE_ACCEPT] = "accept",
	[SOURCE_CONNECT] = "connect",
	[SOURCE_READ] = "read",
	[SOURCE_WRITE] = "write",
	[SOURCE_CLOSE] = "close",
	[SOURCE_OPEN] = "open",
	[SOURCE_FILE] = "file",
	[SOURCE_FUTEX] = "a shared event",
	[SOURCE_TIMEOUT] = "a time of day",
	[SOURCE_CHILD] = "a child's end",
};
