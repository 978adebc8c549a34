/**
 * Work is cut by its shape, never by the number of threads, and handed to a {@link dev.gosset.core.parallel.ThreadTeam} that
 * spins between jobs of some microseconds; scratch memory comes from a {@link dev.gosset.core.parallel.Workspace}, like a
 * stack. So results have the same bits whatever the threads, and nothing is allocated while a model runs.
 */
package dev.gosset.core.parallel;
