// Errno and Result are public; this is where the rooms take them from (design decision 11).
#pragma once

#include "leat/errno.h"
