#include "machine/cpu.h"

#include <unistd.h>

size_t cpu_page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}
