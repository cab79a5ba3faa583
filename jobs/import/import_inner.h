/* jobs/import/import_inner.h - what weights alone do not say. */
#ifndef NS_IMPORT_INNER_H
#define NS_IMPORT_INNER_H

#include "host/graph/graph.h"
#include "jobs/import/import.h"

/* Of each: what was asked for, or else what a file beside the weights says, or else a default; *_from says which. */
struct ns_import_facts {
	json_t *classes, *mean, *std; /* names, numbers; owned */
	int h, w;
	const char *classes_from, *pixels_from, *size_from;
};

/*
 * Size and normalisation of images: reads the configuration, then config.json and preprocessor_config.json in the folder of `file` (Hugging Face's, timm's). arch: what the weights say.
 * Errors: NS_CONFIG where something has to be said that nothing says; NS_BAD_DATA for a file that contradicts the weights.
 */
enum ns_status ns_import_facts(struct ns_import_facts *f, const struct ns_conf *conf, const char *file, const struct ns_arch *arch);
/* Classes, likewise: as many as are wanted. own: those that the file itself names, or NULL. */
enum ns_status ns_import_names(struct ns_import_facts *f, const struct ns_conf *conf, const char *file, int wanted, const json_t *own);
/* Names in the metadata of an ONNX file, of the caller; NULL where there are none that are understood. */
struct ns_onnx;
json_t *ns_import_names_of_file(const struct ns_onnx *onnx);
void ns_import_facts_release(struct ns_import_facts *f);
/* A model of that architecture with the classes, mean and standard deviation of the facts. */
enum ns_status ns_import_make(struct ns_model *m, const struct ns_arch *arch, const struct ns_import_facts *f);
/* A model from an ONNX file; NS_BAD_DATA lists what it has that is not computed here. */
enum ns_status ns_import_onnx(const struct ns_job *job, const char *file, struct ns_model *m, struct ns_import_facts *f);
void ns_import_tell_onnx(const struct ns_model *m, const char *file);

#endif
