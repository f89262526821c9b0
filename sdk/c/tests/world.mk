# The tests of one world.
include $(SDK)/test.mk

test: $(BUILD)/test_$(cd_world)
	$(BUILD)/test_$(cd_world)

$(BUILD)/test_$(cd_world): tests/test_$(cd_world).c $(CD_TEST_FILES)
	$(CD_TEST_CC) -o $@ tests/test_$(cd_world).c $(CD_TEST_SOURCES)
