/*
 * tests/bench/ingest_peer.c - photos to measure with, and the plainest program that reads them: libjpeg-turbo's own speed.
 *
 *	ingest_peer photos OUT COUNT [FOLDER]   writes them; FOLDER: small JPEG photos, enlarged as what stands in the pictures
 *	ingest_peer decode FOLDER               reads each file, decodes it to RGB, and does nothing else
 *
 * Photos are 500x375, every fourth 375x500, JPEG of quality 90 in 4:2:0, in ten class folders. Each is drawn from its number alone: light and
 * colour of the scene as noise of eight octaves whose amplitude falls with frequency; before it 100 ellipses of sizes by a power law that hide each
 * other (edges at all scales), each painted with a small photo or, without FOLDER, with a shaded colour; over all of it a texture of eight octaves of
 * equal amplitude (power as 1/f^2, as in photographs); at the end a sensor's noise. They come to some 78 KB each.
 */
#define _XOPEN_SOURCE 700
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <jpeglib.h>

#define PATHS_MOST 1000000
#define SMALL_MOST 512
#define OCTAVES	   8
#define LEAVES	   100
#define QUALITY	   90

#define TEXT_OF(x) #x
#define TEXT(x)	   TEXT_OF(x)
#ifdef LIBJPEG_TURBO_VERSION
#define LIBRARY "libjpeg-turbo " TEXT(LIBJPEG_TURBO_VERSION)
#else
#define LIBRARY "libjpeg " TEXT(JPEG_LIB_VERSION)
#endif

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "ingest_peer: %s: %s\n", what, errno ? strerror(errno) : "failed");
	exit(2);
}

static void *memory(size_t bytes)
{
	void *p = malloc(bytes + 1);

	if (!p)
		fail("memory");
	return p;
}

/* --- files --- */

static char *paths[PATHS_MOST];
static int path_count;

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void walk(const char *folder)
{
	DIR *d = opendir(folder);
	struct dirent *e;
	struct stat s;

	if (!d)
		fail(folder);
	while ((e = readdir(d))) {
		char *path;

		if (e->d_name[0] == '.')
			continue;
		path = memory(strlen(folder) + strlen(e->d_name) + 2);
		sprintf(path, "%s/%s", folder, e->d_name);
		if (stat(path, &s))
			fail(path);
		if (S_ISDIR(s.st_mode))
			walk(path);
		else if (path_count < PATHS_MOST && strlen(path) > 4 && !strcmp(path + strlen(path) - 4, ".jpg"))
			paths[path_count++] = path;
	}
	closedir(d);
}

static void find(const char *folder)
{
	walk(folder);
	qsort(paths, (size_t)path_count, sizeof *paths, by_name);
}

struct block {
	uint8_t *bytes;
	size_t size, capacity;
};

static void room(struct block *b, size_t size)
{
	if (b->capacity < size) {
		free(b->bytes);
		b->bytes = memory(size);
		b->capacity = size;
	}
	b->size = size;
}

static void read_file(const char *path, struct block *file)
{
	int fd = open(path, O_RDONLY);
	struct stat s;

	if (fd < 0 || fstat(fd, &s))
		fail(path);
	room(file, (size_t)s.st_size);
	if (read(fd, file->bytes, file->size) != (ssize_t)file->size)
		fail(path);
	close(fd);
}

static void decode(struct jpeg_decompress_struct *j, const struct block *file, struct block *rgb)
{
	size_t line;

	jpeg_mem_src(j, file->bytes, file->size);
	jpeg_read_header(j, TRUE);
	j->out_color_space = JCS_RGB;
	jpeg_start_decompress(j);
	line = (size_t)j->output_width * 3;
	room(rgb, line * j->output_height);
	while (j->output_scanline < j->output_height) {
		JSAMPROW row = rgb->bytes + j->output_scanline * line;

		jpeg_read_scanlines(j, &row, 1);
	}
	jpeg_finish_decompress(j);
}

/* --- the loop to compare with --- */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double cpu(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + 1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void decode_all(const char *folder)
{
	struct jpeg_decompress_struct j;
	struct jpeg_error_mgr errors;
	struct block file = {0}, rgb = {0};
	double wall = now(), used = cpu(), bytes = 0;
	int i;

	find(folder);
	j.err = jpeg_std_error(&errors);
	jpeg_create_decompress(&j);
	for (i = 0; i < path_count; i++) {
		read_file(paths[i], &file);
		decode(&j, &file, &rgb);
		bytes += (double)file.size;
	}
	jpeg_destroy_decompress(&j);
	printf("{\"images\": %d, \"bytes\": %.0f, \"wall\": %.6f, \"cpu\": %.6f, \"library\": \"" LIBRARY "\"}\n", path_count, bytes, now() - wall,
	       cpu() - used);
}

/* --- photos --- */

struct small {
	int h, w;
	uint8_t *rgb;
};
static struct small smalls[SMALL_MOST];
static int small_count;

static void read_smalls(const char *folder)
{
	struct jpeg_decompress_struct j;
	struct jpeg_error_mgr errors;
	struct block file = {0}, rgb = {0};
	int i, step;

	find(folder);
	step = path_count / SMALL_MOST + 1;
	j.err = jpeg_std_error(&errors);
	jpeg_create_decompress(&j);
	for (i = 0; i < path_count; i += step) {
		struct small *s = &smalls[small_count++];

		read_file(paths[i], &file);
		decode(&j, &file, &rgb);
		*s = (struct small){(int)j.output_height, (int)j.output_width, memory(rgb.size)};
		memcpy(s->rgb, rgb.bytes, rgb.size);
	}
	jpeg_destroy_decompress(&j);
}

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

/* even in [0, 1), from three numbers */
static float draw(uint64_t a, uint64_t b, uint64_t c)
{
	return (float)(mix(mix(mix(a) + b) + c) >> 40) / (float)(1 << 24);
}

static float smooth(float t)
{
	return t * t * (3 - 2 * t);
}

/* One octave of noise, each channel by a share of its own: random values on a lattice, blended in between; -1 to 1. */
static void add_octave(float *rgb, int h, int w, uint64_t key, int period, const float share[3])
{
	int across = w / period + 2, down = h / period + 2, i, x, y, k;
	float *value = memory((size_t)across * (size_t)down * sizeof *value);

	for (i = 0; i < across * down; i++)
		value[i] = 2 * draw(key, (uint64_t)i, 1) - 1;
	for (y = 0; y < h; y++) {
		const float *row = value + y / period * across;
		float v = smooth((float)(y % period) / (float)period);

		for (x = 0; x < w; x++) {
			const float *at = row + x / period;
			float u = smooth((float)(x % period) / (float)period);
			float a = at[0] + (at[1] - at[0]) * u, b = at[across] + (at[across + 1] - at[across]) * u;

			for (k = 0; k < 3; k++)
				rgb[3 * (y * w + x) + k] += share[k] * (a + (b - a) * v);
		}
	}
	free(value);
}

/* A field with octaves of period 256, 128 .. 2 pixels, each with `falls` times the amplitude of the one before; colours change slower than light. */
static void add_field(float *rgb, int h, int w, uint64_t key, float most, float falls)
{
	int o;

	for (o = 0; o < OCTAVES; o++) {
		float a = most * powf(falls, (float)o), light[3] = {a, a, a}, red[3] = {0.4f * a, 0, 0}, blue[3] = {0, 0, 0.4f * a};

		add_octave(rgb, h, w, mix(key + (uint64_t)o), 256 >> o, light);
		if (o < 5) {
			add_octave(rgb, h, w, mix(key + 100 + (uint64_t)o), 256 >> o, red);
			add_octave(rgb, h, w, mix(key + 200 + (uint64_t)o), 256 >> o, blue);
		}
	}
}

/* a small photo's colour at a place between its pixels, bilinear */
static void small_at(const struct small *s, float x, float y, float rgb[3])
{
	int x0, y0, k;

	x = fminf(fmaxf(x, 0), (float)s->w - 1.001f);
	y = fminf(fmaxf(y, 0), (float)s->h - 1.001f);
	x0 = (int)x;
	y0 = (int)y;
	for (k = 0; k < 3; k++) {
		const uint8_t *p = s->rgb + 3 * (y0 * s->w + x0) + k;
		float u = x - (float)x0, v = y - (float)y0;

		rgb[k] = ((float)p[0] * (1 - u) + (float)p[3] * u) * (1 - v) + ((float)p[3 * s->w] * (1 - u) + (float)p[3 * s->w + 3] * u) * v;
	}
}

/* An ellipse before what was there, painted with a small photo or with a shaded colour. */
static void add_leaf(float *rgb, int h, int w, uint64_t key)
{
	float size = 12 / powf(draw(key, 1, 0) * 0.985f + 0.015f, 0.65f), tall = size * (0.5f + draw(key, 2, 0)), angle = 6.2832f * draw(key, 3, 0);
	float cx = (float)w * draw(key, 4, 0), cy = (float)h * draw(key, 5, 0), c = cosf(angle), s = sinf(angle);
	float colour[3] = {40 + 175 * draw(key, 6, 0), 40 + 175 * draw(key, 7, 0), 40 + 175 * draw(key, 8, 0)};
	float contrast = 14 + 30 * draw(key, 9, 0), reach = fmaxf(size, tall);
	const struct small *photo = small_count ? &smalls[mix(key + 10) % (uint64_t)small_count] : NULL;
	int top = (int)fmaxf(cy - reach, 0), left = (int)fmaxf(cx - reach, 0), y, x, k;

	for (y = top; y < h && (float)y < cy + reach; y++)
		for (x = left; x < w && (float)x < cx + reach; x++) {
			float dx = (float)x - cx, dy = (float)y - cy, u = (c * dx + s * dy) / size, v = (c * dy - s * dx) / tall;
			float inside = (1 - sqrtf(u * u + v * v)) * fminf(size, tall) + 0.5f, paint[3]; /* in pixels from the edge */

			if (inside <= 0)
				continue;
			if (photo)
				small_at(photo, (u + 1) * 0.5f * (float)photo->w, (v + 1) * 0.5f * (float)photo->h, paint);
			else
				for (k = 0; k < 3; k++)
					paint[k] = colour[k] + contrast * (u + v) * 0.5f; /* shaded */
			for (k = 0; k < 3; k++) {
				float *p = rgb + 3 * (y * w + x) + k;

				*p += (paint[k] - *p) * fminf(inside, 1);
			}
		}
}

static void write_jpeg(const char *path, const uint8_t *pixels, int h, int w)
{
	struct jpeg_compress_struct j;
	struct jpeg_error_mgr errors;
	FILE *f = fopen(path, "wb");

	if (!f)
		fail(path);
	j.err = jpeg_std_error(&errors);
	jpeg_create_compress(&j);
	jpeg_stdio_dest(&j, f);
	j.image_height = (JDIMENSION)h;
	j.image_width = (JDIMENSION)w;
	j.input_components = 3;
	j.in_color_space = JCS_RGB;
	jpeg_set_defaults(&j); /* 4:2:0 among them */
	jpeg_set_quality(&j, QUALITY, TRUE);
	jpeg_start_compress(&j, TRUE);
	while (j.next_scanline < j.image_height) {
		JSAMPROW row = (JSAMPROW)(uintptr_t)(pixels + (size_t)j.next_scanline * (size_t)w * 3);

		jpeg_write_scanlines(&j, &row, 1);
	}
	jpeg_finish_compress(&j);
	jpeg_destroy_compress(&j);
	if (fclose(f))
		fail(path);
}

static void photo(const char *path, uint64_t number)
{
	int upright = number % 4 == 3, h = upright ? 500 : 375, w = upright ? 375 : 500, i, n = h * w * 3;
	float *rgb = memory((size_t)n * sizeof *rgb), grain = 3 + 4 * draw(number, 7, 7);
	uint8_t *pixels = memory((size_t)n);

	for (i = 0; i < n; i++)
		rgb[i] = 118;
	add_field(rgb, h, w, mix(number), 70, 0.56f);
	for (i = 0; i < LEAVES; i++)
		add_leaf(rgb, h, w, mix(number * 1000 + (uint64_t)i));
	add_field(rgb, h, w, mix(number + 5000000), 26, 1.0f); /* texture and light over all of it */
	for (i = 0; i < n; i++) {
		float noise = grain * (draw(number, 9, (uint64_t)i / 3) + draw(number, 11, (uint64_t)i) - 1), v = rgb[i] + noise;

		pixels[i] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v + 0.5f);
	}
	write_jpeg(path, pixels, h, w);
	free(rgb);
	free(pixels);
}

static void make_photos(const char *out, int count)
{
	char path[4096];
	int i;

	for (i = 0; i < count + 10; i++) {
		snprintf(path, sizeof path, "%s/class%d", out, i % 10);
		if (i < 10 && mkdir(path, 0777) && errno != EEXIST)
			fail(path);
		if (i < 10)
			continue;
		snprintf(path, sizeof path, "%s/class%d/%05d.jpg", out, i % 10, i - 10);
		photo(path, (uint64_t)(i - 10));
	}
}

int main(int argc, char **argv)
{
	errno = 0;
	if (argc == 3 && !strcmp(argv[1], "decode")) {
		decode_all(argv[2]);
		return 0;
	}
	if ((argc == 4 || argc == 5) && !strcmp(argv[1], "photos")) {
		if (argc == 5)
			read_smalls(argv[4]);
		if (mkdir(argv[2], 0777) && errno != EEXIST)
			fail(argv[2]);
		make_photos(argv[2], atoi(argv[3]));
		return 0;
	}
	fprintf(stderr, "usage: ingest_peer photos OUT COUNT [FOLDER] | ingest_peer decode FOLDER\n");
	return 64;
}
