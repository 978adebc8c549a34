/**
 * What runs fast on the processor, in float32: transforms, the search for nearest points, products with coded matrices, and
 * the arithmetic of a transformer. {@link dev.gosset.core.kernel.Kernels} says which family this JVM runs and why; {@code
 * gosset doctor} prints it.
 *
 * <h2>The map</h2>
 *
 * <table>
 * <caption>Families, and the plain Java that each is tested against</caption>
 * <tr><th>family</th><th>its idea</th><th>classes</th><th>oracle</th></tr>
 * <tr><td>choice</td><td>what a family promises; which one runs and why; the one door to raw memory</td>
 *   <td>Kernels, KernelSelection, VectorKernels, TransformKernel, EncodeKernel, MatvecKernel, PreparedMatrix, ErrorBounds,
 *   NativeMemory, OpenMemory, VectorOperations, Arguments</td><td></td></tr>
 * <tr><td>transform</td><td>Sylvester stages in registers, then the small factor by the construction that it comes from</td>
 *   <td>VectorTransform; VectorSylvester, RadixPasses; SmallMatrixProduct, PaleyTransform, PaleyProduct,
 *   WilliamsonProduct</td><td>ScalarTransform</td></tr>
 * <tr><td>search</td><td>no search: sort, parity, shells of the lattice</td><td>VectorEncode</td><td>ScalarEncode</td></tr>
 * <tr><td>products by points</td><td>a code is two table rows of eight floats, XOR and FMA; codes as they are stored, exact
 *   in float32</td><td>VectorMatvec, PointTables</td><td>ScalarMatvec</td></tr>
 * <tr><td>products by tables of 512 bits</td><td>x becomes tables of 16-bit products, the bits of 64 codes index them; codes
 *   repacked once. Two spellings: bytes where there is VBMI, words where there is not</td><td>TableMatvec, TableMatrix;
 *   ProductTables, ProductFactors, CodeRegions; BlockCodes with ByteCodes, TableSums, ResidualTables (bytes) and WordCodes,
 *   WordSums (words)</td><td>ScalarMatvec</td></tr>
 * <tr><td>products by nibbles</td><td>the same with tables of 16 bytes, for 128 and 256 bits, where a lookup takes four
 *   bits</td><td>NibbleMatvec, NibbleMatrix; NibbleCodes, NibbleTables, NibbleSums</td><td>ScalarMatvec</td></tr>
 * <tr><td>linear</td><td>signs, transform, product, transform, signs of one stored linear</td>
 *   <td>QuantizedProduct, DirectMatrix</td><td>LinearOracle</td></tr>
 * <tr><td>dense</td><td>norms, rotary, attention, softmax, and products with weights that were not coded</td><td>VectorMath,
 *   VectorAttention, AttentionSums, DenseProduct, ByteProduct, InputSums</td><td>loops in their tests</td></tr>
 * </table>
 *
 * <h2>Why three kinds of tables</h2>
 *
 * Multiplying eight weights of a code with x costs eight multiplications and a table row read from the cache. Since x is
 * the same for all rows, the products of its pairs of coordinates with all that a code can say about them fit into a few
 * registers, and a permutation looks 64 rows up at once: four lookups for eight weights. A permutation of 512 bits has 32 or 64
 * words; to find the index of a pair, the code's bits must stand right, so codes are repacked, once, when a model is opened. With VBMI
 * bytes can be permuted and counted, and the parity that a sign needs is one instruction: byte codes. Without it words must do,
 * under another numbering of the points: word codes. Below 512 bits the only lookup has 16 entries of a byte: a nibble of a
 * code indexes it, a product is two bytes, and 13 bits of it are left: nibble codes.
 *
 * <p>Which one runs is a question of the machine alone; {@code -Dgosset.matvec=points|words|...} forces another. The float32
 * loops that stand several times in a class do so because C2 keeps vectors in registers only inside one method.
 */
package dev.gosset.core.kernel;
