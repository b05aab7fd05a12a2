/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The line in which each principal, key and grant begins, so that a refusal can say where to look.
 *
 * libcyaml gives values and no places. libyaml, on which it stands, keeps the places; so the text is
 * read once more, as a tree of nodes, which is walked beside the structure that libcyaml made of it.
 * Nothing is judged here: libcyaml has taken the text, so both have the same shape. A line that is not
 * found stays 0, and the sentence does without.
 */
#include "service/policy_lines.h"

#include <string.h>
#include <yaml.h>

#include "service/policy_file.h"

static yaml_node_t *
member(yaml_document_t *d, const yaml_node_t *mapping, const char *key)
{
	if (mapping == NULL || mapping->type != YAML_MAPPING_NODE)
		return NULL;
	for (const yaml_node_pair_t *p = mapping->data.mapping.pairs.start; p < mapping->data.mapping.pairs.top; p++) {
		const yaml_node_t *name = yaml_document_get_node(d, p->key);

		if (name->type == YAML_SCALAR_NODE && strcmp((const char *)name->data.scalar.value, key) == 0)
			return yaml_document_get_node(d, p->value);
	}
	return NULL;
}

static yaml_node_t *
item(yaml_document_t *d, const yaml_node_t *sequence, size_t i)
{
	if (sequence == NULL || sequence->type != YAML_SEQUENCE_NODE ||
	    i >= (size_t)(sequence->data.sequence.items.top - sequence->data.sequence.items.start))
		return NULL;
	return yaml_document_get_node(d, sequence->data.sequence.items.start[i]);
}

static unsigned
line_of(const yaml_node_t *node)
{
	return node != NULL ? (unsigned)node->start_mark.line + 1 : 0;
}

static void
fill_keys(yaml_document_t *d, const yaml_node_t *sequence, struct policy_file_key *keys, size_t n)
{
	for (size_t i = 0; i < n; i++)
		keys[i].line = line_of(item(d, sequence, i));
}

static void
fill_principal(yaml_document_t *d, const yaml_node_t *node, struct policy_file_principal *p)
{
	const yaml_node_t *grants = member(d, node, "grants");

	p->line = line_of(node);
	fill_keys(d, member(d, node, "signing_keys"), p->signing_keys, p->signing_keys_count);
	fill_keys(d, member(d, node, "recipient_keys"), p->recipient_keys, p->recipient_keys_count);
	for (size_t i = 0; i < p->grants_count; i++)
		p->grants[i].line = line_of(item(d, grants, i));
}

void
policy_lines_fill(struct policy_file *f, struct span text)
{
	yaml_parser_t parser;
	yaml_document_t document;
	const yaml_node_t *principals;

	if (yaml_parser_initialize(&parser) == 0)
		return;
	yaml_parser_set_input_string(&parser, text.data, text.bytes);
	if (yaml_parser_load(&parser, &document) != 0) {
		principals = member(&document, yaml_document_get_root_node(&document), "principals");
		for (size_t i = 0; i < f->principals_count; i++)
			fill_principal(&document, item(&document, principals, i), &f->principals[i]);
		yaml_document_delete(&document);
	}
	yaml_parser_delete(&parser);
}
