/**
 * Which sequence has which blocks of a memory for keys and values: counted, shared where sequences begin alike, and given back. Where
 * that memory is, a processor's or a device's, is not known here.
 */
package dev.gosset.llm.cache;
