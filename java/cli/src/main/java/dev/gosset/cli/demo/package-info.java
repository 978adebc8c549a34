/**
 * The small world of the bundled demo model: the generator of its texts and questions. The model itself lies beside the
 * resources of this package, the script that trained it in {@code java/cli/demo-model}.
 */
package dev.gosset.cli.demo;
