/* The arithmetic of the solver for one target; `solver.c` includes this file once for each.
 *
 * Belongs here: conjugate gradients and loss of one row. Does not: the choice of a target. The including file defines
 * LANES (floats of a vector register), TARGET (attribute of the functions) and NAMED (a name of this target).
 *
 * A row's x solves (gram + sum of (c - 1) y y^T) x = sum of c y over its entries; gram has the regularization. The
 * number of vectors of a factor is known to the compiler, so sums stay in registers. The factors of a row's entries are
 * gathered into a buffer once, and read from cache in every step.
 */
#define lanes NAMED(lanes)
#define VECTORS_OF_BLOCK (FLOATS_OF_BLOCK / LANES)
#define MAX_VECTORS (MAX_BLOCKS * VECTORS_OF_BLOCK)

typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));

/* The sum of all lanes, in every lane. */
TARGET INLINE lanes NAMED(sum)(lanes v) {
#if LANES == 16
    v += SHUFFLED(v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
    v += SHUFFLED(v, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
    v += SHUFFLED(v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
    v += SHUFFLED(v, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
#elif LANES == 8
    v += SHUFFLED(v, 4, 5, 6, 7, 0, 1, 2, 3);
    v += SHUFFLED(v, 2, 3, 0, 1, 6, 7, 4, 5);
    v += SHUFFLED(v, 1, 0, 3, 2, 5, 4, 7, 6);
#else
    v += SHUFFLED(v, 2, 3, 0, 1);
    v += SHUFFLED(v, 1, 0, 3, 2);
#endif
    return v;
}

/* The dot product, in every lane. */
TARGET INLINE lanes NAMED(dot)(const lanes *a, const lanes *b, const int vectors) {
    lanes even = {0}, odd = {0};
    UNROLL
    for (int k = 0; k < vectors; k += 2) {
        even += a[k] * b[k];
        if (k + 1 < vectors) odd += a[k + 1] * b[k + 1];
    }
    return NAMED(sum)(even + odd);
}

/* sums = gram v */
TARGET INLINE void NAMED(times_gram)(lanes *sums, const float *gram, const lanes *v, const int vectors) {
    const float *values = (const float *)v;
    UNROLL
    for (int k = 0; k < vectors; k++) sums[k] = (lanes){0};
    for (int row = 0; row < vectors * LANES; row++) {
        const lanes *g = (const lanes *)(gram + (size_t)row * vectors * LANES);
        UNROLL
        for (int k = 0; k < vectors; k++) sums[k] += values[row] * g[k];
    }
}

/* sums += (constant + slope (y . v)) y for an entry's y */
TARGET INLINE void NAMED(add_entry)(lanes *sums, const lanes *y, const lanes *v, float constant, float slope,
                                    const int vectors) {
    const lanes weight = constant + slope * NAMED(dot)(y, v, vectors);
    UNROLL
    for (int k = 0; k < vectors; k++) sums[k] += weight * y[k];
}

TARGET INLINE const float *NAMED(factors)(const Problem *problem, int64_t entry, const int vectors) {
    return problem->y + (size_t)problem->indices[entry] * vectors * LANES;
}

TARGET INLINE void NAMED(prefetch)(const Problem *problem, int64_t entry, const int vectors) {
    const float *y = NAMED(factors)(problem, entry, vectors);
    UNROLL
    for (int k = 0; k < vectors * LANES; k += FLOATS_OF_BLOCK) __builtin_prefetch(y + k);
}

TARGET INLINE void NAMED(solve_row)(const Problem *problem, int64_t row, const int32_t *next, int steps, lanes *buffer,
                                    int64_t buffered, const int vectors) {
    const int64_t first = problem->indptr[row], entries = problem->indptr[row + 1] - first;
    lanes *out = (lanes *)(problem->x + (size_t)row * vectors * LANES);
    lanes x[MAX_VECTORS], r[MAX_VECTORS], p[MAX_VECTORS], ap[MAX_VECTORS];
    if (entries == 0) {
        memset(out, 0, sizeof(lanes) * (size_t)vectors);
        return;
    }
    memcpy(x, out, sizeof(lanes) * (size_t)vectors);
    NAMED(times_gram)(r, problem->gram, x, vectors);
    UNROLL
    for (int k = 0; k < vectors; k++) r[k] = -r[k];
    const int64_t kept = entries < buffered ? entries : buffered;
    for (int64_t j = 0; j < entries; j++) {
        const int64_t entry = first + j;
        const lanes *y = (const lanes *)NAMED(factors)(problem, entry, vectors);
        const float c = problem->confidences[entry];
        if (j + AHEAD < entries) NAMED(prefetch)(problem, entry + AHEAD, vectors);
        if (j < kept) memcpy(buffer + j * vectors, y, sizeof(lanes) * (size_t)vectors);
        NAMED(add_entry)(r, y, x, POSITIVE(c), -WEIGHT(c), vectors);
    }
    if (next) {
        const int64_t start = problem->indptr[*next], end = problem->indptr[*next + 1];
        for (int64_t entry = start; entry < end && entry < start + AHEAD; entry++)
            NAMED(prefetch)(problem, entry, vectors);
    }
    memcpy(p, r, sizeof(lanes) * (size_t)vectors);
    float squared = NAMED(dot)(r, r, vectors)[0];
    for (int step = 0; step < steps && !(squared < SMALL); step++) {
        NAMED(times_gram)(ap, problem->gram, p, vectors);
        for (int64_t j = 0; j < kept; j++)
            NAMED(add_entry)(ap, buffer + j * vectors, p, 0, WEIGHT(problem->confidences[first + j]), vectors);
        for (int64_t entry = first + kept; entry < first + entries; entry++) {
            const lanes *y = (const lanes *)NAMED(factors)(problem, entry, vectors);
            if (entry + AHEAD < first + entries) NAMED(prefetch)(problem, entry + AHEAD, vectors);
            NAMED(add_entry)(ap, y, p, 0, WEIGHT(problem->confidences[entry]), vectors);
        }
        const float length = squared / NAMED(dot)(p, ap, vectors)[0];
        UNROLL
        for (int k = 0; k < vectors; k++) {
            x[k] += length * p[k];
            r[k] -= length * ap[k];
        }
        const float now = NAMED(dot)(r, r, vectors)[0];
        const float share = now / squared;
        UNROLL
        for (int k = 0; k < vectors; k++) p[k] = r[k] + share * p[k];
        squared = now;
    }
    memcpy(out, x, sizeof(lanes) * (size_t)vectors);
}

TARGET INLINE void NAMED(solve_rows)(const Problem *problem, const int32_t *rows, int64_t n_rows, int steps,
                                     lanes *buffer, int64_t buffered, const int vectors) {
    for (int64_t i = 0; i < n_rows; i++) {
        const int32_t *next = i + 1 < n_rows ? rows + i + 1 : NULL;
        NAMED(solve_row)(problem, rows[i], next, steps, buffer, buffered, vectors);
    }
}

TARGET INLINE void NAMED(loss_of_rows)(const Problem *problem, const int32_t *rows, int64_t n_rows, double *sums,
                                       const int vectors) {
    for (int64_t i = 0; i < n_rows; i++) {
        const int64_t end = problem->indptr[rows[i] + 1];
        const lanes *x = (const lanes *)(problem->x + (size_t)rows[i] * vectors * LANES);
        for (int64_t entry = problem->indptr[rows[i]]; entry < end; entry++) {
            const float c = problem->confidences[entry];
            const lanes *y = (const lanes *)NAMED(factors)(problem, entry, vectors);
            if (entry + AHEAD < end) NAMED(prefetch)(problem, entry + AHEAD, vectors);
            const double score = NAMED(dot)(x, y, vectors)[0];
            sums[0] += (WEIGHT(c) * score - 2 * POSITIVE(c)) * score + MAGNITUDE(c);
            sums[1] += MAGNITUDE(c);
        }
    }
}

/* Functions for one number of blocks. */
#define WIDTH(blocks) \
    TARGET static void NAMED(solve_##blocks)(const Problem *problem, const int32_t *rows, int64_t n_rows, int steps, \
                                             float *buffer, int64_t buffered) { \
        NAMED(solve_rows)(problem, rows, n_rows, steps, (lanes *)buffer, buffered, blocks * VECTORS_OF_BLOCK); \
    } \
    TARGET static void NAMED(loss_##blocks)(const Problem *problem, const int32_t *rows, int64_t n_rows, \
                                            double *sums) { \
        NAMED(loss_of_rows)(problem, rows, n_rows, sums, blocks * VECTORS_OF_BLOCK); \
    }
ALL_WIDTHS(WIDTH)
#undef WIDTH

static const Kernels NAMED(kernels)[] = {
#define WIDTH(blocks) {blocks, NAMED(solve_##blocks), NAMED(loss_##blocks)},
    ALL_WIDTHS(WIDTH)
#undef WIDTH
};

#undef lanes
#undef VECTORS_OF_BLOCK
#undef MAX_VECTORS
#undef LANES
#undef TARGET
#undef NAMED
