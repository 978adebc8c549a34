/**
 * The papers' studies on a model of the user's: {@link dev.gosset.llm.study.StudyRow} says what is run, {@link
 * dev.gosset.llm.study.StudyRunner} quantizes in memory and measures, and every run is a line of {@link
 * dev.gosset.llm.study.StudyLines}, from which alone tables and pictures are made. Source: spec/quip-methods.md, section 7.
 */
package dev.gosset.llm.study;
