/* What the C sources share. */
#define FLOATS_OF_BLOCK 16 /* vectors are padded to a multiple of this */
#define EXPORT __attribute__((visibility("default")))
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 64")
