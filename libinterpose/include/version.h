#ifndef IP_VERSION
#define IP_VERSION "0.1.0" /* the project's: pyproject.toml reads it here */
#endif
