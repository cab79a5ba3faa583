/*
 * jobs/label/page.c - label.html: one offline page that a person labels in with the keyboard. Images are in it, nothing is served, and what was
 * answered is saved as a file, for `label --answers`. The only page with a script: it asks for nothing from elsewhere.
 */
#include "jobs/label/label_inner.h"

#include <stdlib.h>
#include <string.h>

#include "datasets/decode/decode.h"
#include "host/report/report.h"
#include "jobs/look/look.h"

#define SIDE  224
#define BYTES (96 << 20) /* of the page's pixels at most: of a longer queue images are smaller */
#define LEAST 64

/* Keys of the classes in their order, as far as they reach; others are chosen by typing their name. */
static const char script[] =
	"const keys='1234567890abcdefghijklmnoqrstuvwxyz';let at=0,show=Q.show;const said=new Map();\n"
	"const $=i=>document.getElementById(i),store='nightshift '+Q.queue;\n"
	"try{for(const [i,l] of JSON.parse(localStorage.getItem(store)||'[]'))said.set(i,l)}catch(e){}\n"
	"function keep(){try{localStorage.setItem(store,JSON.stringify([...said]))}catch(e){}}\n"
	"function go(to){at=Math.max(0,Math.min(Q.rows.length-1,to));draw()}\n"
	"function open_from(i){for(let k=0;k<Q.rows.length;k++){const j=(i+k)%Q.rows.length;if(!said.has(Q.rows[j].id))return j}return i}\n"
	"function answer(label){const r=Q.rows[at];said.set(r.id,label);keep();const to=open_from(at+1);go(to)}\n"
	"function draw(){const r=Q.rows[at];$('image').src=r.image;$('image').alt='image '+(at+1);\n"
	" $('place').textContent='Image '+(at+1)+' of '+Q.rows.length+', '+said.size+' answered';$('file').textContent=r.file;\n"
	" $('guess').textContent=show&&r.predicted!==null?'The model says: '+r.predicted:'';\n"
	" $('was').textContent=said.has(r.id)?(said.get(r.id)===null?'You passed over it.':'You said: '+said.get(r.id)):'';\n"
	" for(const b of document.querySelectorAll('#classes button'))b.classList.toggle('chosen',said.get(r.id)===b.value)}\n"
	"function lines(by,time){return Q.rows.filter(r=>said.has(r.id)).map(r=>JSON.stringify({id:r.id,label:said.get(r.id),by:by,time:time,queue:Q.queue})).join('\\n')+'\\n'}\n"
	"function save(){const by=$('by').value.trim();if(!by){$('by').focus();$('hint').textContent='Who are you? Type a name first.';return}\n"
	" const a=document.createElement('a');a.href=URL.createObjectURL(new Blob([lines(by,new Date().toISOString())],{type:'application/jsonl'}));\n"
	" a.download='answers-'+Q.queue.slice(0,8)+'-'+by.replace(/[^A-Za-z0-9]+/g,'-')+'.jsonl';a.click();$('hint').textContent='Saved '+said.size+' answers as '+a.download}\n"
	"function key(e){if(e.target.tagName==='INPUT'||e.ctrlKey||e.metaKey||e.altKey)return;\n"
	" if(e.key==='ArrowLeft')go(at-1);else if(e.key==='ArrowRight')go(at+1);else if(e.key===' ')answer(null);else if(e.key==='p'){show=!show;draw()}\n"
	" else if(e.key==='Backspace'){said.delete(Q.rows[at].id);keep();draw()}else if(e.key==='Enter')save();\n"
	" else{const k=keys.indexOf(e.key.toLowerCase());if(k<0||k>=Q.classes.length)return;answer(Q.classes[k])}e.preventDefault()}\n"
	"Q.classes.forEach((c,k)=>{const b=document.createElement('button');b.value=c;b.textContent=(k<keys.length?keys[k]+'  ':'')+c;b.onclick=()=>answer(c);$('classes').append(b)});\n"
	"$('find').oninput=e=>{for(const b of document.querySelectorAll('#classes button'))b.hidden=!b.value.toLowerCase().includes(e.target.value.toLowerCase())};\n"
	"document.addEventListener('keydown',key);$('save').onclick=save;window.onbeforeunload=e=>{if(said.size)e.preventDefault()};go(open_from(0));\n";

static const char style[] =
	"<style>#work{display:flex;flex-wrap:wrap;gap:1.2rem}#image{width:min(90vw,26rem);height:26rem;object-fit:contain;image-rendering:auto;background:var(--panel)}"
	"#classes{display:flex;flex-direction:column;gap:.3rem;max-height:26rem;overflow:auto;min-width:12rem}#classes button{text-align:left;padding:.35rem .6rem;"
	"border:1px solid var(--line);background:var(--panel);color:var(--ink);font:inherit}#classes button.chosen{border-color:var(--b);border-width:2px}"
	"input,#save{font:inherit;padding:.3rem}</style>";

static enum ns_status image_of(const struct ns_label_queue *q, int64_t row, int side, json_t **uri)
{
	uint8_t *pixels = NULL, *png = NULL;
	int size[3];
	size_t bytes;
	struct ns_html uri_text = {0};
	enum ns_status status;

	NS_GO(ns_look_thumbnail(q->data, row, side, size, &pixels));
	NS_GO(ns_png_encode(pixels, size[0], size[1], size[2], &png, &bytes));
	ns_html_png_uri(&uri_text, png, bytes);
	*uri = uri_text.failed ? NULL : json_string_nocheck(uri_text.text);
	status = *uri ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for the image of row %lld", (long long)row);
out:
	free(pixels);
	free(png);
	ns_html_release(&uri_text);
	return status;
}

/* JSON within a script: no "</" may end it, and no "<!--" begin another. */
static void script_json(struct ns_html *h, const json_t *json)
{
	char *text = json_dumps(json, JSON_COMPACT | JSON_ENSURE_ASCII), *at, *c;

	for (at = text; at && (c = strchr(at, '<')) != NULL; at = c + 1) {
		*c = 0;
		ns_html_markup(h, at);
		ns_html_markup(h, "\\u003c");
	}
	if (at)
		ns_html_markup(h, at);
	h->failed |= !text;
	free(text);
}

static enum ns_status queue_json(const struct ns_label_queue *q, const char *digest, int show, json_t **out)
{
	json_t *rows = json_array(), *classes = json_array();
	int64_t i;
	int k, side = SIDE;
	enum ns_status status = NS_OK;

	while (side > LEAST && q->count * side * side * 3 > BYTES)
		side -= 8;
	for (k = 0; k < q->p.class_names; k++)
		json_array_append_new(classes, ns_json_string(q->p.names[k]));
	for (i = 0; i < q->count && status == NS_OK; i++) {
		int64_t row = q->rows[i].row;
		char id[24], file[1024];
		json_t *image = NULL;

		snprintf(id, sizeof id, "%016llx", (unsigned long long)q->p.id[row]);
		ns_label_source(q, row, file, sizeof file);
		status = image_of(q, row, side, &image);
		if (status == NS_OK)
			json_array_append_new(rows, NS_JSON_OBJECT({"id", json_string(id)}, {"file", ns_json_string(file)},
								   {"predicted", q->p.pred ? ns_label_class(q, q->p.pred[row]) : json_null()},
								   {"image", image}));
	}
	*out = NS_JSON_OBJECT({"queue", json_string(digest)}, {"show", json_boolean(show)}, {"classes", classes}, {"rows", rows});
	return status == NS_OK && !*out ? ns_fail(NS_INTERNAL, "the page of a queue cannot be made") : status;
}

enum ns_status ns_label_page(const struct ns_label_queue *q, const char *digest, int show)
{
	char path[NS_PATH_MAX];
	json_t *all = NULL;
	struct ns_html h;
	enum ns_status status = queue_json(q, digest, show, &all);

	if (status == NS_OK)
		status = ns_path(path, "%s/label.html", q->job->dir);
	if (status == NS_OK) {
		ns_html_begin(&h, "nightshift: label");
		ns_html_markup(&h, style);
		ns_html_element(&h, "h1", "Label %lld images", (long long)q->count);
		ns_html_markup(
			&h,
			"<p>A key chooses a class and goes on; arrows go back and forth; space passes over an image; backspace takes an answer back; p shows or hides what the "
			"model says; Enter saves a file. Nothing leaves this page but that file.</p>\n"
			"<p><b id=\"place\"></b> <span id=\"file\" class=\"dim\"></span> <span id=\"guess\"></span> <span id=\"was\"></span></p>\n"
			"<div id=\"work\"><img id=\"image\"><div><input id=\"find\" placeholder=\"find a class\"><div id=\"classes\"></div></div></div>\n"
			"<p>Your name: <input id=\"by\"> <button id=\"save\">Save answers</button> <span id=\"hint\"></span></p>\n<script>const Q=");
		script_json(&h, all);
		ns_html_markup(&h, ";\n");
		ns_html_markup(&h, script);
		ns_html_markup(&h, "</script>\n");
		status = ns_html_write(&h, path);
		ns_html_release(&h);
	}
	json_decref(all);
	return status;
}
