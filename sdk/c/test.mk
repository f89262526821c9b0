# What a Makefile includes to build a plugin's unit tests with the host in memory.
# Before it: SDK (this folder), BUILD (where programs go) and, unless disk-source, WORLD.
WORLD ?= disk-source
cd_world := $(subst -,_,$(WORLD))

# The sanitizers end a test at the first access out of bounds, overflow or leak.
CD_TEST_FLAGS ?= -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all
CD_TEST_CC = @mkdir -p $(BUILD) && $(CC) -std=c11 -Wall -Wextra -Werror $(CD_TEST_FLAGS) \
  -I$(SDK)/include -I$(SDK)/src -I$(SDK)/testing -I$(SDK)/bindings/$(WORLD)
CD_TEST_SOURCES = $(addprefix $(SDK)/src/,memory.c text.c error.c context.c settings.c) \
  $(SDK)/src/$(cd_world).c $(SDK)/testing/testing.c $(SDK)/testing/$(cd_world).c
CD_TEST_FILES = $(CD_TEST_SOURCES) $(wildcard $(SDK)/include/*.h $(SDK)/src/*.h $(SDK)/testing/*.h)

.PHONY: test
