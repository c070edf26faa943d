/* faults.h - for tests that fault on purpose. */
#ifndef TESTS_FAULTS_H
#define TESTS_FAULTS_H

#ifdef TORC_VALGRIND
#include <valgrind/valgrind.h>
#endif

/* From here on valgrind does not count a fault as an error: it is what the test is about. */
static inline void faults_expected(void)
{
#ifdef TORC_VALGRIND
	VALGRIND_DISABLE_ERROR_REPORTING;
#endif
}

#endif
