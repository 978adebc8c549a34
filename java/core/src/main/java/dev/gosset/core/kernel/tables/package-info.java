/**
 * Products by tables, for vectors of 512 bits. x becomes tables of 16-bit products, and the bits of 64 codes index them: a lookup adds
 * what two multiplications would. Codes are repacked once. There are two spellings: by bytes where the processor has VBMI (ByteCodes, ByteSums,
 * ResidualTables), by words where it has not (WordCodes, WordSums). Both share ProductTables, TableLookups and CodeRegions, and
 * TableMatrix drives them through BlockCodes. Oracle: ScalarMatvec.
 */
package dev.gosset.core.kernel.tables;
