/* One kernel language over three: GLSL (Vulkan), OpenCL C 1.2 and CUDA C++.
 *
 * A kernel file reads
 *
 *     KERNEL(add, 256, READ(a) READ(b) WRITE(y), UINT(n))
 *     SHARED(float, scratch, 256)            group memory, if any
 *     BODY
 *     {
 *         FOR_ALL(i, arg.n) STORE(y, i, LOAD(a, i) + LOAD(b, i));
 *     }
 *     END
 *
 * Its name, its threads in a group, its buffers, its scalars. The build copies that line for the
 * host (backends/gpu/gpu.h), so both sides agree on the layout; buffers (8 bytes each) and scalars
 * (4 bytes each) together take at most 128 bytes.
 *
 * READ, WRITE and UPDATE name tensors of the storage type, touched by LOAD and STORE only;
 * arithmetic is float. A kernel with such tensors is built once a type, with STORAGE defined as F32,
 * F16 or BF16. What stays float whatever the storage type is (parameters other than weights,
 * their gradients, statistics), workspace and indices have fixed types (READ_FLOAT, READ_FLOAT4,
 * READ_INT …) and are reached by AT, which can be assigned to. READ4 and LOAD4 take four neighbours
 * of the storage type at once, from multiples of four. Helper functions start with FUNCTION and see
 * neither buffers nor group memory.
 *
 * What all three languages share and kernels may use: float, int, uint, float2, float4, uint2 with
 * .x .y .z .w, + - * / on scalars, floor, sqrt, fabs, min, max, arrays, loops. What they do not:
 * structs, casts (TO_FLOAT …), vector constructors (FLOAT2 …), vector arithmetic, pointers, 64-bit
 * integers, array initialisers, recursion, and names of another language's built-ins for what is its
 * own (some OpenCL compilers make step, sign, mix … macros).
 *
 * FMA asks for a contracted product and sum. PRECISE before a variable forbids GLSL to contract what
 * it is made of; the other languages never do so by themselves. UNROLL before a loop of constant
 * length keeps the arrays it indexes in registers; nothing PRECISE may stand in such a loop, for the
 * optimiser of SPIR-V copies it without that mark. */
#ifndef DIALECT_H
#define DIALECT_H

#define JOIN_NAMES(a, b) a##b
#define JOIN(a, b)       JOIN_NAMES(a, b)

/* An element as it is stored, to the float it is, and back. */
#define VALUE_F32(x)  (x)
#define VALUE_F16(x)  f16_value(TO_UINT(x))
#define VALUE_BF16(x) bf16_value(TO_UINT(x))
#define VALUE4_F32(x)  (x)
#define VALUE4_F16(x)  f16_value4(x)
#define VALUE4_BF16(x) bf16_value4(x)

#if defined(VULKAN)

#if STORED_BYTES == 2
layout(buffer_reference, std430, buffer_reference_align = 2) buffer Stored { uint16_t at[]; };
layout(buffer_reference, std430, buffer_reference_align = 8) buffer Stored4 { uvec2 at[]; };
#else
layout(buffer_reference, std430, buffer_reference_align = 4) buffer Stored { float at[]; };
layout(buffer_reference, std430, buffer_reference_align = 16) buffer Stored4 { vec4 at[]; };
#endif
#define STORED_F32(x)  (x)
#define STORED_F16(x)  uint16_t(f16_bits(x))
#define STORED_BF16(x) uint16_t(bf16_bits(x))

layout(buffer_reference, std430, buffer_reference_align = 4) buffer Ints { int at[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) buffer Floats { float at[]; };
layout(buffer_reference, std430, buffer_reference_align = 8) buffer Float2s { vec2 at[]; };
layout(buffer_reference, std430, buffer_reference_align = 16) buffer Float4s { vec4 at[]; };

#define READ(name)          Stored name;
#define WRITE(name)         Stored name;
#define UPDATE(name)        Stored name;
#define READ4(name)         Stored4 name;
#define READ_INT(name)      Ints name;
#define WRITE_INT(name)     Ints name;
#define UPDATE_INT(name)    Ints name;
#define READ_FLOAT(name)    Floats name;
#define WRITE_FLOAT(name)   Floats name;
#define UPDATE_FLOAT(name)  Floats name;
#define READ_FLOAT2(name)   Float2s name;
#define WRITE_FLOAT2(name)  Float2s name;
#define UPDATE_FLOAT2(name) Float2s name;
#define READ_FLOAT4(name)   Float4s name;
#define WRITE_FLOAT4(name)  Float4s name;
#define UPDATE_FLOAT4(name) Float4s name;
#define UINT(name)          uint name;
#define INT(name)           int name;
#define FLOAT(name)         float name;

#define KERNEL(name, size, buffers, scalars)                                                       \
    layout(local_size_x = size) in;                                                                \
    layout(push_constant, std430) uniform Arguments { buffers scalars } arg;
#define SHARED(type, name, count) shared type name[count];
#define BODY                      void main()
#define END
#define FUNCTION

#define AT(buffer, i) arg.buffer.at[i]

#define GROUP_X   gl_WorkGroupID.x
#define GROUP_Y   gl_WorkGroupID.y
#define GROUP_Z   gl_WorkGroupID.z
#define GROUPS_X  gl_NumWorkGroups.x
#define LANE      gl_LocalInvocationID.x
#define LANES     gl_WorkGroupSize.x
#define BARRIER() barrier()

#define float2           vec2
#define float4           vec4
#define uint2            uvec2
#define FLOAT2(a, b)     vec2(a, b)
#define FLOAT4(a, b, c, d) vec4(a, b, c, d)
#define UINT2(a, b)      uvec2(a, b)
#define TO_FLOAT(x)      float(x)
#define TO_INT(x)        int(x)
#define TO_UINT(x)       uint(x)
#define BITS(x)          floatBitsToUint(x)
#define FROM_BITS(x)     uintBitsToFloat(x)
#define fabs(x)          abs(x)
#define FMA(a, b, c)     fma(a, b, c)
#define PRECISE          precise
#define UNROLL           [[unroll]]

uint mul_high(uint a, uint b)
{
    uint high, low;
    umulExtended(a, b, high, low);
    return high;
}

#else /* OpenCL C and CUDA C++ */

#define ELEMENT_F32    float
#define ELEMENT_F16    unsigned short
#define ELEMENT_BF16   unsigned short
#define ELEMENT4_F32   float4
#define ELEMENT4_F16   uint2
#define ELEMENT4_BF16  uint2
#define STORED_F32(x)  (x)
#define STORED_F16(x)  (unsigned short)f16_bits(x)
#define STORED_BF16(x) (unsigned short)bf16_bits(x)

#if defined(__OPENCL_C_VERSION__)

/* A buffer is a pointer and the element where the tensor starts: OpenCL 1.2 has no addresses. */
#pragma OPENCL FP_CONTRACT OFF
#define BUFFER_IN(type, name)  __global const type *const name, const uint name##_at,
#define BUFFER_OUT(type, name) __global type *const name, const uint name##_at,
#define AT(buffer, i)          buffer[buffer##_at + (i)]
#define ENTRY(size)            __kernel __attribute__((reqd_work_group_size(size, 1, 1))) void
#define SHARED(type, name, count) __local type name[count];
#define FUNCTION static

#define GROUP_X   ((uint)get_group_id(0))
#define GROUP_Y   ((uint)get_group_id(1))
#define GROUP_Z   ((uint)get_group_id(2))
#define GROUPS_X  ((uint)get_num_groups(0))
#define LANE      ((uint)get_local_id(0))
#define LANES     ((uint)get_local_size(0))
#define BARRIER() barrier(CLK_LOCAL_MEM_FENCE)

#define FLOAT2(a, b)     (float2)(a, b)
#define FLOAT4(a, b, c, d) (float4)(a, b, c, d)
#define UINT2(a, b)      (uint2)(a, b)
#define BITS(x)          as_uint((float)(x))
#define FROM_BITS(x)     as_float((uint)(x))
#ifdef FP_FAST_FMAF /* mad() would do, but may be as wrong as it likes */
#define FMA(a, b, c)     fma(a, b, c)
#else
#define FMA(a, b, c)     ((a) * (b) + (c))
#endif
#define mul_high(a, b)   mul_hi((uint)(a), (uint)(b))

#else /* CUDA; compiled with --fmad=false */

typedef unsigned int uint;
#define BUFFER_IN(type, name)  const type *const name,
#define BUFFER_OUT(type, name) type *const name,
#define AT(buffer, i)          buffer[i]
#define ENTRY(size)            extern "C" __global__ void __launch_bounds__(size)
#define SHARED(type, name, count) __shared__ type name[count];
#define FUNCTION               __device__ __forceinline__

#define GROUP_X   blockIdx.x
#define GROUP_Y   blockIdx.y
#define GROUP_Z   blockIdx.z
#define GROUPS_X  gridDim.x
#define LANE      threadIdx.x
#define LANES     blockDim.x
#define BARRIER() __syncthreads()

#define FLOAT2(a, b)     make_float2(a, b)
#define FLOAT4(a, b, c, d) make_float4(a, b, c, d)
#define UINT2(a, b)      make_uint2(a, b)
#define BITS(x)          __float_as_uint(x)
#define FROM_BITS(x)     __uint_as_float(x)
#define FMA(a, b, c)     fmaf(a, b, c)
#define mul_high(a, b)   __umulhi(a, b)

#endif

#define READ(name)          BUFFER_IN(JOIN(ELEMENT_, STORAGE), name)
#define WRITE(name)         BUFFER_OUT(JOIN(ELEMENT_, STORAGE), name)
#define UPDATE(name)        BUFFER_OUT(JOIN(ELEMENT_, STORAGE), name)
#define READ4(name)         BUFFER_IN(JOIN(ELEMENT4_, STORAGE), name)
#define READ_INT(name)      BUFFER_IN(int, name)
#define WRITE_INT(name)     BUFFER_OUT(int, name)
#define UPDATE_INT(name)    BUFFER_OUT(int, name)
#define READ_FLOAT(name)    BUFFER_IN(float, name)
#define WRITE_FLOAT(name)   BUFFER_OUT(float, name)
#define UPDATE_FLOAT(name)  BUFFER_OUT(float, name)
#define READ_FLOAT2(name)   BUFFER_IN(float2, name)
#define WRITE_FLOAT2(name)  BUFFER_OUT(float2, name)
#define UPDATE_FLOAT2(name) BUFFER_OUT(float2, name)
#define READ_FLOAT4(name)   BUFFER_IN(float4, name)
#define WRITE_FLOAT4(name)  BUFFER_OUT(float4, name)
#define UPDATE_FLOAT4(name) BUFFER_OUT(float4, name)
#define UINT(name)          uint name;
#define INT(name)           int name;
#define FLOAT(name)         float name;

/* Scalars are one struct by value. The body is a block within the entry, because OpenCL wants group
 * memory declared at the entry's outermost level; END closes the entry. */
#define KERNEL(name, size, buffers, scalars)                                                       \
    typedef struct name##_scalars {                                                                \
        scalars                                                                                    \
    } name##_scalars;                                                                              \
    ENTRY(size) name(buffers const name##_scalars arg) {
#define BODY
#define END          }

#define TO_FLOAT(x) ((float)(x))
#define TO_INT(x)   ((int)(x))
#define TO_UINT(x)  ((uint)(x))
#define PRECISE
#define UNROLL      _Pragma("unroll")

#endif

#define LOAD(buffer, i)         JOIN(VALUE_, STORAGE)(AT(buffer, i))
#define LOAD4(buffer, i)        JOIN(VALUE4_, STORAGE)(AT(buffer, i))
#define STORE(buffer, i, value) AT(buffer, i) = JOIN(STORED_, STORAGE)(value)
/* The value as it would be loaded once stored. */
#define ROUNDED(value)          JOIN(VALUE_, STORAGE)(JOIN(STORED_, STORAGE)(value))

#include "half.h"

/* Elements 0 … n-1 over all threads of the x axis. */
#define FOR_ALL(i, n)                                                                              \
    for (uint i = GROUP_X * LANES + LANE; i < (n); i += GROUPS_X * LANES)

/* Leaves the sum of all lanes' scratch[LANE] in scratch[0], adding in one fixed order; LANES is a
 * power of two. Every lane must get here; scratch may be reused after the next BARRIER. */
#define GROUP_SUM(scratch)                                                                         \
    BARRIER();                                                                                     \
    for (uint half_ = LANES / 2u; half_ > 0u; half_ /= 2u) {                                       \
        if (LANE < half_) scratch[LANE] += scratch[LANE + half_];                                  \
        BARRIER();                                                                                 \
    }

/* The same for every `lanes` neighbours, a power of two: their sum is left where the first of them
 * stands. */
#define PART_SUM(scratch, lanes)                                                                   \
    BARRIER();                                                                                     \
    for (uint half_ = (lanes) / 2u; half_ > 0u; half_ /= 2u) {                                     \
        if ((LANE & ((lanes) - 1u)) < half_) scratch[LANE] += scratch[LANE + half_];               \
        BARRIER();                                                                                 \
    }

#endif
