# How a library of ours is compiled, file by file: whoever includes this says SOURCES, INCLUDES and NAME.
# `python -m interpose.generator build` generates first, and then calls it for each machine with CC, MACHINE, GENERATED, OBJECTS and TARGET.

MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:

objects := $(SOURCES:%=$(OBJECTS)/%.o) $(GENERATED_SOURCES:%=$(OBJECTS)/generated/%.o)
compile = $(CC) @flags $(INCLUDES) -I$(GENERATED) -MMD -MP -c -o $@ $<

$(TARGET): $(objects) $(LINK_INPUTS) link
	@mkdir -p $(@D)
	$(CC) @flags @link $(LINK_OPTIONS) -o $@.draft $(objects)
	mv $@.draft $@

# The compiler's name and options: another one's objects are not ours.
$(OBJECTS)/compiler: always
	@mkdir -p $(@D)
	@echo '$(CC)' | cmp -s - $@ || echo '$(CC)' > $@
.PHONY: always

$(OBJECTS)/%.o: % flags $(OBJECTS)/compiler
	@mkdir -p $(@D)
	$(compile)

$(OBJECTS)/generated/%.o: $(GENERATED)/% flags $(OBJECTS)/compiler
	@mkdir -p $(@D)
	$(compile)

-include $(objects:.o=.d)
