// SHA-256 of sealed chunks and AES-256-CTR of the same bytes in one pass, with the instructions that x86-64 has for them.
//
// A round of SHA-256 waits for the one before it, and leaves the core idle half of the time: the rounds of AES of the same block, and
// those of a second chunk or of other bytes to be hashed, fit in between. What is done is FIPS 180-4 and FIPS 197 as libcrypto does them, which the tests compare
// byte by byte; no branch and no address depends on a key or a text.
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// A sealed chunk to be opened.
struct layercache_sealed {
    const uint8_t *sealed;
    uint8_t *text;       // where the decrypted bytes go; may be `sealed` itself
    size_t length;       // of both
    const uint8_t *key;  // 32 bytes
    uint8_t name[32];    // out: SHA-256 of the sealed bytes
};

// SHA-256 of bytes that come in pieces.
struct layercache_hash {
    uint32_t state[8];
    uint8_t rest[64];  // those after the last whole block
    uint64_t length;   // of all so far
};

static const uint32_t layercache_sha256_start[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

static inline void layercache_hash_begin(struct layercache_hash *hash) {
    memcpy(hash->state, layercache_sha256_start, sizeof hash->state);
    hash->length = 0;
}

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

#define LAYERCACHE_TARGET __attribute__((target("sha,aes,avx,sse4.1")))

static const uint32_t layercache_sha256_constants[64] __attribute__((aligned(64))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
    0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
    0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
    0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
    0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
    0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

// What is kept of a chunk while it is gone through.
struct layercache_lane {
    __m128i keys[15];
    uint32_t state[8];
    const uint8_t *sealed;
    uint8_t *text;
};

// Whether this processor has the instructions.
static inline int layercache_can_open(void) {
    unsigned a, b, c, d;
    return __builtin_cpu_supports("avx") && __builtin_cpu_supports("aes") && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 29 & 1);
}

LAYERCACHE_TARGET static inline void layercache_begin(struct layercache_lane *lane, const struct layercache_sealed *chunk) {
    memcpy(lane->state, layercache_sha256_start, sizeof lane->state);
    lane->sealed = chunk->sealed;
    lane->text = chunk->text;
    __m128i even = _mm_loadu_si128((const __m128i *)chunk->key), odd = _mm_loadu_si128((const __m128i *)(chunk->key + 16)), next;
    lane->keys[0] = even;
    lane->keys[1] = odd;
#define LAYERCACHE_EXPAND(key, from, constant, word, index)                      \
    next = _mm_shuffle_epi32(_mm_aeskeygenassist_si128(from, constant), word);   \
    key = _mm_xor_si128(key, _mm_slli_si128(key, 4));                            \
    key = _mm_xor_si128(key, _mm_slli_si128(key, 8));                            \
    lane->keys[index] = key = _mm_xor_si128(key, next);
#define LAYERCACHE_EXPAND_TWO(constant, index)             \
    LAYERCACHE_EXPAND(even, odd, constant, 0xff, index)    \
    LAYERCACHE_EXPAND(odd, even, 0, 0xaa, index + 1)
    LAYERCACHE_EXPAND_TWO(0x01, 2)
    LAYERCACHE_EXPAND_TWO(0x02, 4)
    LAYERCACHE_EXPAND_TWO(0x04, 6)
    LAYERCACHE_EXPAND_TWO(0x08, 8)
    LAYERCACHE_EXPAND_TWO(0x10, 10)
    LAYERCACHE_EXPAND_TWO(0x20, 12)
    LAYERCACHE_EXPAND(even, odd, 0x40, 0xff, 14)
#undef LAYERCACHE_EXPAND_TWO
#undef LAYERCACHE_EXPAND
}

// The counter's block of that number.
LAYERCACHE_TARGET static inline __m128i layercache_counter(uint32_t number) {
    return _mm_insert_epi32(_mm_setzero_si128(), (int)__builtin_bswap32(number), 3);
}

// `blocks` whole blocks of 64 bytes of each of `count` lanes, in step; `first` have been done before. `decrypts` has a bit for each lane
// that is more than hashed, the lowest for the first one.
LAYERCACHE_TARGET __attribute__((always_inline)) static inline void layercache_run(
    const int count, const int decrypts, struct layercache_lane *lanes[2], size_t first, size_t blocks) {
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    __m128i one[2], two[2];
    uint32_t number = (uint32_t)first * 4;
#pragma clang loop unroll(full)
    for (int lane = 0; lane < count; lane++) {
        const __m128i low = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)lanes[lane]->state), 0xb1);
        const __m128i high = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(lanes[lane]->state + 4)), 0x1b);
        one[lane] = _mm_alignr_epi8(low, high, 8);
        two[lane] = _mm_blend_epi16(high, low, 0xf0);
    }
    for (; blocks > 0; blocks--, number += 4) {
        __m128i words[2][4], stream[2][4];
        const __m128i before[4] = {one[0], two[0], one[count - 1], two[count - 1]};
#pragma clang loop unroll(full)
        for (int lane = 0; lane < count; lane++) {
#pragma clang loop unroll(full)
            for (int part = 0; part < 4; part++) {
                words[lane][part] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(lanes[lane]->sealed + 16 * part)), swap);
                if (decrypts >> lane & 1) stream[lane][part] = _mm_xor_si128(layercache_counter(number + part), lanes[lane]->keys[0]);
            }
        }
#pragma clang loop unroll(full)
        for (int round = 0; round < 16; round++) {
#pragma clang loop unroll(full)
            for (int lane = 0; lane < count; lane++) {
                __m128i sum =
                    _mm_add_epi32(words[lane][round & 3], _mm_load_si128((const __m128i *)(layercache_sha256_constants + 4 * round)));
                two[lane] = _mm_sha256rnds2_epu32(two[lane], one[lane], sum);
                sum = _mm_shuffle_epi32(sum, 0x0e);
                one[lane] = _mm_sha256rnds2_epu32(one[lane], two[lane], sum);
                if (round < 12) {
                    __m128i next = _mm_sha256msg1_epu32(words[lane][round & 3], words[lane][(round + 1) & 3]);
                    next = _mm_add_epi32(next, _mm_alignr_epi8(words[lane][(round + 3) & 3], words[lane][(round + 2) & 3], 4));
                    words[lane][round & 3] = _mm_sha256msg2_epu32(next, words[lane][(round + 3) & 3]);
                }
                if (!(decrypts >> lane & 1)) continue;
#pragma clang loop unroll(full)
                for (int part = 0; part < 4; part++) {
                    if (round < 13) stream[lane][part] = _mm_aesenc_si128(stream[lane][part], lanes[lane]->keys[round + 1]);
                    if (round == 13) stream[lane][part] = _mm_aesenclast_si128(stream[lane][part], lanes[lane]->keys[14]);
                    if (round == 14) {
                        const __m128i sealed = _mm_loadu_si128((const __m128i *)(lanes[lane]->sealed + 16 * part));
                        _mm_storeu_si128((__m128i *)(lanes[lane]->text + 16 * part), _mm_xor_si128(stream[lane][part], sealed));
                    }
                }
            }
        }
#pragma clang loop unroll(full)
        for (int lane = 0; lane < count; lane++) {
            one[lane] = _mm_add_epi32(one[lane], before[2 * lane]);
            two[lane] = _mm_add_epi32(two[lane], before[2 * lane + 1]);
            lanes[lane]->sealed += 64;
            if (decrypts >> lane & 1) lanes[lane]->text += 64;
        }
    }
#pragma clang loop unroll(full)
    for (int lane = 0; lane < count; lane++) {
        const __m128i low = _mm_shuffle_epi32(one[lane], 0x1b), high = _mm_shuffle_epi32(two[lane], 0xb1);
        _mm_storeu_si128((__m128i *)lanes[lane]->state, _mm_blend_epi16(low, high, 0xf0));
        _mm_storeu_si128((__m128i *)(lanes[lane]->state + 4), _mm_alignr_epi8(high, low, 8));
    }
}

LAYERCACHE_TARGET __attribute__((noinline)) static void layercache_run_one(struct layercache_lane *lane, size_t first, size_t blocks) {
    struct layercache_lane *lanes[2] = {lane, lane};
    layercache_run(1, 1, lanes, first, blocks);
}

LAYERCACHE_TARGET __attribute__((noinline)) static void layercache_run_two(
    struct layercache_lane *one, struct layercache_lane *two, size_t blocks) {
    struct layercache_lane *lanes[2] = {one, two};
    layercache_run(2, 3, lanes, 0, blocks);
}

// The padding of a hash of `length` bytes, of which `rest`, fewer than 64, are left; `block` has room for 128.
LAYERCACHE_TARGET static inline void layercache_pad(
    struct layercache_lane *lane, uint8_t block[128], size_t rest, uint64_t length, uint8_t name[32]) {
    memset(block + rest, 0, 128 - rest);
    block[rest] = 0x80;
    const size_t blocks = rest < 56 ? 1 : 2;
    const uint64_t bits = __builtin_bswap64(length * 8);
    memcpy(block + 64 * blocks - 8, &bits, 8);
    lane->sealed = block;
    struct layercache_lane *lanes[2] = {lane, lane};
    layercache_run(1, 0, lanes, 0, blocks);
    for (int word = 0; word < 8; word++) {
        const uint32_t bytes = __builtin_bswap32(lane->state[word]);
        memcpy(name + 4 * word, &bytes, 4);
    }
}

// What is left of a chunk of that length after its whole blocks, and the padding of its hash.
LAYERCACHE_TARGET static inline void layercache_end(struct layercache_lane *lane, struct layercache_sealed *chunk) {
    const size_t rest = chunk->length % 64, done = chunk->length - rest;
    uint8_t block[128];
    memcpy(block, lane->sealed, rest);
    for (size_t start = 0; start < rest; start += 16) {
        __m128i stream = _mm_xor_si128(layercache_counter((uint32_t)((done + start) / 16)), lane->keys[0]);
        for (int round = 1; round < 14; round++) stream = _mm_aesenc_si128(stream, lane->keys[round]);
        uint8_t bytes[16];
        _mm_storeu_si128((__m128i *)bytes, _mm_aesenclast_si128(stream, lane->keys[14]));
        for (size_t index = 0; index < 16 && start + index < rest; index++) {
            lane->text[start + index] = block[start + index] ^ bytes[index];
        }
    }
    layercache_pad(lane, block, rest, chunk->length, chunk->name);
}

// Decrypts and names one chunk, or two in less time than one after the other. To be called only if `layercache_can_open`; of at most
// 2^32 blocks of 16 bytes each.
LAYERCACHE_TARGET static inline void layercache_open(struct layercache_sealed *first, struct layercache_sealed *second) {
    struct layercache_lane one, two;
    layercache_begin(&one, first);
    size_t together = 0;
    if (second) {
        layercache_begin(&two, second);
        together = (first->length < second->length ? first->length : second->length) / 64;
        layercache_run_two(&one, &two, together);
        layercache_run_one(&two, together, second->length / 64 - together);
        layercache_end(&two, second);
    }
    layercache_run_one(&one, together, first->length / 64 - together);
    layercache_end(&one, first);
}

LAYERCACHE_TARGET __attribute__((noinline)) static void layercache_hash_one(struct layercache_lane *lane, size_t blocks) {
    struct layercache_lane *lanes[2] = {lane, lane};
    layercache_run(1, 0, lanes, 0, blocks);
}

LAYERCACHE_TARGET __attribute__((noinline)) static void layercache_hash_beside(
    struct layercache_lane *hashed, struct layercache_lane *opened, size_t blocks) {
    struct layercache_lane *lanes[2] = {hashed, opened};
    layercache_run(2, 2, lanes, 0, blocks);
}

// Hashes more bytes, and decrypts and names a chunk beside it if there is one. To be called only if `layercache_can_open`.
LAYERCACHE_TARGET static inline void layercache_hash_more(
    struct layercache_hash *hash, const uint8_t *bytes, size_t count, struct layercache_sealed *beside) {
    struct layercache_lane lane, other;
    memcpy(lane.state, hash->state, sizeof lane.state);
    const size_t begun = hash->length % 64;
    hash->length += count;
    if (begun > 0) {
        const size_t taken = count < 64 - begun ? count : 64 - begun;
        memcpy(hash->rest + begun, bytes, taken);
        bytes += taken;
        count -= taken;
        if (begun + taken == 64) {
            lane.sealed = hash->rest;
            layercache_hash_one(&lane, 1);
        }
    }
    size_t blocks = count / 64;
    if (count > 0) memcpy(hash->rest, bytes + 64 * blocks, count % 64);
    lane.sealed = bytes;
    if (beside) {
        layercache_begin(&other, beside);
        const size_t all = beside->length / 64, together = blocks < all ? blocks : all;
        layercache_hash_beside(&lane, &other, together);
        layercache_run_one(&other, together, all - together);
        layercache_end(&other, beside);
        blocks -= together;
    }
    layercache_hash_one(&lane, blocks);
    memcpy(hash->state, lane.state, sizeof lane.state);
}

LAYERCACHE_TARGET static inline void layercache_hash_end(const struct layercache_hash *hash, uint8_t name[32]) {
    struct layercache_lane lane;
    memcpy(lane.state, hash->state, sizeof lane.state);
    uint8_t block[128];
    const size_t rest = hash->length % 64;
    memcpy(block, hash->rest, rest);
    layercache_pad(&lane, block, rest, hash->length, name);
}
#else
static inline int layercache_can_open(void) { return 0; }
static inline void layercache_open(struct layercache_sealed *first, struct layercache_sealed *second) {}
static inline void layercache_hash_more(
    struct layercache_hash *hash, const uint8_t *bytes, size_t count, struct layercache_sealed *beside) {}
static inline void layercache_hash_end(const struct layercache_hash *hash, uint8_t name[32]) {}
#endif
