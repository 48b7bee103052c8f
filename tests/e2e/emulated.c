/* Prints the first line of the file `in`, and what it finds in LD_PRELOAD; ends with status 3. */
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    char line[100] = "";
    FILE *file = fopen("in", "r");
    const char *preload = getenv("LD_PRELOAD");

    if (!file || !fgets(line, sizeof line, file))
        return 1;
    printf("%s%s\n", line, preload ? preload : "none");
    return 3;
}
