// The markers as functions of a shared library, for Python to call through ctypes.
#include "markers.h"

extern "C" {
void begin_window() { region_begin(); }
void end_window() { region_end(); }
}
