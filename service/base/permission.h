/* One right of a token, as the rooms and the workers pass it on. */
#ifndef TOKEND_BASE_PERMISSION_H
#define TOKEND_BASE_PERMISSION_H

enum permission_action { PERMISSION_READ, PERMISSION_WRITE };

struct permission {
	enum permission_action action;
	const char *database;       /* NUL-terminated, owned by whoever owns the array; NULL: all databases */
};

#endif
