/**
 * Native libraries that come inside jars: {@link dev.gosset.core.library.LibraryFiles} copies them to where they can be loaded
 * from and no other user can have put anything.
 */
package dev.gosset.core.library;
