package dev.gosset.cli;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.fields;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.core.importer.Location;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchRule;
import dev.gosset.core.GossetException;
import java.io.PrintStream;

/** Keeps the arrows of docs/architecture.md one way. */
@AnalyzeClasses(
        packages = "dev.gosset",
        importOptions = {ImportOption.DoNotIncludeTests.class, ArchitectureTest.NoTestJars.class})
final class ArchitectureTest {
    /** The tests of other modules come as jars here. */
    static final class NoTestJars implements ImportOption {
        @Override
        public boolean includes(Location location) {
            return !location.contains("-tests.jar");
        }
    }

    @ArchTest
    static final ArchRule TEMPLATES_NEED_THE_PLATFORM_ONLY = classes()
            .that()
            .resideInAPackage("dev.gosset.jinja..")
            .should()
            .onlyDependOnClassesThat()
            .resideInAnyPackage("dev.gosset.jinja..", "java..");

    @ArchTest
    static final ArchRule CORE_KNOWS_NO_MODELS = noClasses()
            .that()
            .resideInAPackage("dev.gosset.core..")
            .should()
            .dependOnClassesThat()
            .resideInAnyPackage(
                    "dev.gosset.llm..",
                    "dev.gosset.jinja..",
                    "dev.gosset.cuda..",
                    "dev.gosset.cli..",
                    "com.fasterxml..",
                    "picocli..",
                    "ai.djl..");

    @ArchTest
    static final ArchRule LLM_KNOWS_NO_COMMANDS = noClasses()
            .that()
            .resideInAPackage("dev.gosset.llm..")
            .should()
            .dependOnClassesThat()
            .resideInAnyPackage("dev.gosset.cli..", "dev.gosset.server..", "picocli..", "me.tongfei..");

    @ArchTest
    static final ArchRule THE_SERVER_KNOWS_NO_COMMANDS = noClasses()
            .that()
            .resideInAPackage("dev.gosset.server..")
            .should()
            .dependOnClassesThat()
            .resideInAnyPackage("dev.gosset.cli..", "picocli..", "me.tongfei..");

    @ArchTest
    static final ArchRule ONE_PACKAGE_KNOWS_WHICH_HTTP_SERVER = noClasses()
            .that()
            .resideOutsideOfPackage("dev.gosset.server.http")
            .should()
            .dependOnClassesThat()
            .resideInAPackage("com.sun.net.httpserver..");

    @ArchTest
    static final ArchRule MODELS_AND_COMMANDS_FIND_DEVICES_AS_A_SERVICE = noClasses()
            .that()
            .resideInAnyPackage("dev.gosset.llm..", "dev.gosset.server..", "dev.gosset.cli..")
            .should()
            .dependOnClassesThat()
            .resideInAnyPackage("dev.gosset.cuda..", "dev.gosset.bindings..");

    @ArchTest
    static final ArchRule KERNELS_OF_A_DEVICE_KNOW_NO_MODELS = noClasses()
            .that()
            .resideInAPackage("dev.gosset.cuda")
            .should()
            .dependOnClassesThat()
            .resideInAnyPackage("dev.gosset.llm..", "dev.gosset.cuda.llm..", "dev.gosset.cli..");

    @ArchTest
    static final ArchRule ONLY_THE_CUDA_MODULE_CALLS_BINDINGS = noClasses()
            .that()
            .resideOutsideOfPackages("dev.gosset.cuda", "dev.gosset.bindings..")
            .should()
            .dependOnClassesThat()
            .resideInAPackage("dev.gosset.bindings..");

    @ArchTest
    static final ArchRule CODEBOOKS_AND_TRANSFORMS_ARE_MATHEMATICS = noClasses()
            .that()
            .resideInAnyPackage("dev.gosset.core.codebook..", "dev.gosset.core.hadamard..")
            .should()
            .dependOnClassesThat()
            .resideInAnyPackage(
                    "dev.gosset.core.kernel..",
                    "dev.gosset.core.rounding..",
                    "dev.gosset.core.blas..",
                    "org.apache.arrow..",
                    "java.nio.file..",
                    "java.io..");

    @ArchTest
    static final ArchRule KERNELS_DO_NOT_ROUND = noClasses()
            .that()
            .resideInAnyPackage("dev.gosset.core.kernel..", "dev.gosset.core.blas..", "dev.gosset.core.memory..")
            .should()
            .dependOnClassesThat()
            .resideInAPackage("dev.gosset.core.rounding..");

    @ArchTest
    static final ArchRule ARROW_STAYS_IN_MEMORY = noClasses()
            .that()
            .resideOutsideOfPackage("dev.gosset.core.memory..")
            .should()
            .dependOnClassesThat()
            .resideInAPackage("org.apache.arrow..");

    @ArchTest
    static final ArchRule CORE_PACKAGES_FORM_NO_CYCLE =
            slices().matching("dev.gosset.core.(*)..").should().beFreeOfCycles();

    @ArchTest
    static final ArchRule LLM_PACKAGES_FORM_NO_CYCLE =
            slices().matching("dev.gosset.llm.(*)..").should().beFreeOfCycles();

    @ArchTest
    static final ArchRule SERVER_PACKAGES_FORM_NO_CYCLE =
            slices().matching("dev.gosset.server.(*)..").should().beFreeOfCycles();

    @ArchTest
    static final ArchRule PUBLIC_EXCEPTIONS_SHARE_ONE_ROOT = classes()
            .that()
            .areAssignableTo(Exception.class)
            .and()
            .arePublic()
            .and()
            .resideInAPackage("dev.gosset..")
            .and()
            .resideOutsideOfPackage("dev.gosset.jinja")
            .should()
            .beAssignableTo(GossetException.class);

    /** What a library has to say it throws, or gives to {@link System.Logger}. */
    @ArchTest
    static final ArchRule ONLY_COMMANDS_PRINT = noClasses()
            .that()
            .resideOutsideOfPackages("dev.gosset.cli..", "dev.gosset.bindings..")
            .should()
            .accessField(System.class, "out")
            .orShould()
            .accessField(System.class, "err");

    /** A text that depends on the user's country is another one in Turkey, and numbers have other digits in Egypt. */
    @ArchTest
    static final ArchRule TEXT_KNOWS_NO_COUNTRY = noClasses()
            .that()
            .resideOutsideOfPackage("dev.gosset.bindings..")
            .should()
            .callMethod(String.class, "format", String.class, Object[].class)
            .orShould()
            .callMethod(String.class, "formatted", Object[].class)
            .orShould()
            .callMethod(String.class, "toLowerCase")
            .orShould()
            .callMethod(String.class, "toUpperCase")
            .orShould()
            .callMethod(PrintStream.class, "printf", String.class, Object[].class)
            .orShould()
            .callMethod(PrintStream.class, "format", String.class, Object[].class);

    /** C2 makes vector code fast only where the species is a constant. */
    @ArchTest
    static final ArchRule SPECIES_ARE_CONSTANTS = fields().that()
            .haveRawType("jdk.incubator.vector.VectorSpecies")
            .should()
            .beStatic()
            .andShould()
            .beFinal()
            .allowEmptyShould(true);
}
