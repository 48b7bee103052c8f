/* What the fuzzers in C have in common.
 *
 *     clang -fsanitize=fuzzer,address,undefined -I libinterpose/include -I build/generated tests/fuzz/grpc_reader.c
 *     gcc -DREPLAY -fsanitize=address,undefined -I libinterpose/include -I build/generated tests/fuzz/grpc_reader.c
 *
 * The first is driven by libFuzzer. The second replays the files of a folder, each as it is and then changed so many times:
 *
 *     ./a.out FOLDER TIMES
 */
#ifndef REPLAY_H
#define REPLAY_H

#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void require(bool condition)
{
    if (!condition)
        abort();
}

#ifdef REPLAY
#define INPUT_MAX 65536u

static size_t read_input(const char *folder, const char *name, uint8_t *bytes)
{
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    size_t size = file ? fread(bytes, 1, INPUT_MAX, file) : 0;
    if (file)
        fclose(file);
    return size;
}

static void replay(const uint8_t *bytes, size_t size, unsigned int times)
{
    static uint8_t changed[INPUT_MAX];
    unsigned int changes = 1;

    LLVMFuzzerTestOneInput(bytes, size);
    for (unsigned int i = 0; size && i < times; i++) {
        memcpy(changed, bytes, size);
        changed[0] = (uint8_t)i;
        for (int j = rand_r(&changes) % 4; j >= 0; j--)
            changed[(size_t)rand_r(&changes) % size] = (uint8_t)rand_r(&changes);
        LLVMFuzzerTestOneInput(changed, size);
    }
}

int main(int argc, char **argv)
{
    static uint8_t bytes[INPUT_MAX];
    DIR *folder = argc == 3 ? opendir(argv[1]) : NULL;
    unsigned int inputs = 0;

    if (!folder)
        return 2;
    for (struct dirent *entry; (entry = readdir(folder));) {
        size_t size = read_input(argv[1], entry->d_name, bytes);
        inputs += size > 0;
        replay(bytes, size, (unsigned int)atoi(argv[2]));
    }
    closedir(folder);
    printf("%u\n", inputs);
    return 0;
}
#endif

#endif
