/**
 * What runs fast on the processor, in float32: transforms, the search for nearest points, products with coded matrices, and
 * the arithmetic of a transformer. {@link dev.gosset.core.kernel.Kernels} says which family this JVM runs and why; {@code
 * gosset doctor} prints it. {@link dev.gosset.core.kernel.QuantizedProduct} multiplies with a stored linear.
 *
 * <h2>The map</h2>
 *
 * One room for each idea; each room's {@code package-info} states it. Arrows go down: this package chooses and knows all rooms, the rooms know
 * their contract and the memory below, and none knows this one ({@code ArchitectureTest} counts the floors).
 *
 * <table>
 * <caption>Rooms, from the ground up, and the plain Java that each is tested against</caption>
 * <tr><th>room</th><th>its idea</th><th>begin with</th><th>oracle</th></tr>
 * <tr><td>{@code contract}</td><td>what a kernel promises</td><td>MatvecKernel, PreparedMatrix</td><td></td></tr>
 * <tr><td>{@code memory}</td><td>addresses instead of segments</td><td>NativeMemory</td><td></td></tr>
 * <tr><td>{@code bounds}</td><td>what is refused, and how far results may be off</td><td>ErrorBounds</td><td></td></tr>
 * <tr><td>{@code oracle}</td><td>plain Java</td><td>ScalarMatvec, LinearOracle</td><td></td></tr>
 * <tr><td>{@code transform}</td><td>Sylvester stages in registers, then the small factor by the construction that it comes from</td>
 *   <td>VectorTransform</td><td>ScalarTransform</td></tr>
 * <tr><td>{@code encode}</td><td>no search: sort, parity, shells of the lattice</td><td>VectorEncode</td><td>ScalarEncode</td></tr>
 * <tr><td>{@code points}</td><td>a code is two table rows of eight floats, XOR and FMA; exact in float32</td><td>VectorMatvec</td>
 *   <td>ScalarMatvec</td></tr>
 * <tr><td>{@code tables}</td><td>x becomes tables of 16-bit products, the bits of 64 codes index them; by bytes or by words</td>
 *   <td>TableMatvec, TableMatrix, ProductTables</td><td>ScalarMatvec</td></tr>
 * <tr><td>{@code nibbles}</td><td>the same with tables of 16 bytes, where a lookup takes four bits</td><td>NibbleMatvec</td>
 *   <td>ScalarMatvec</td></tr>
 * <tr><td>{@code dense}</td><td>norms, rotary, attention, softmax, weights that were not coded</td><td>VectorMath,
 *   VectorAttention, DenseProduct, VectorGradients</td><td>loops in their tests</td></tr>
 * <tr><td>this one</td><td>who was chosen and why; signs, transform, product, transform, signs of one linear</td><td>Kernels,
 *   QuantizedProduct</td><td>LinearOracle</td></tr>
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
