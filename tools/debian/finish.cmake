# Run by CPack before it packs the files of each component: what Debian wants to be in every package.
set(lintian_program "statically-linked-binary [usr/bin/minivmm]") # it starts faster
set(lintian_library "maintscript-calls-ldconfig *") # CPack's, beside the trigger
string(TIMESTAMP today "%a, %d %b %Y %H:%M:%S +0000" UTC) # or SOURCE_DATE_EPOCH
foreach(component ${CPACK_COMPONENTS_ALL})
  string(TOUPPER ${component} upper)
  set(package ${CPACK_DEBIAN_${upper}_PACKAGE_NAME})
  set(share ${CPACK_TEMPORARY_DIRECTORY}/${component}/usr/share)
  configure_file(${CMAKE_CURRENT_LIST_DIR}/../../LICENSE ${share}/doc/${package}/copyright COPYONLY)
  file(WRITE ${share}/doc/${package}/changelog
       "minivmm (${CPACK_PACKAGE_VERSION}) unstable; urgency=medium\n\n  * Version ${CPACK_PACKAGE_VERSION}.\n\n"
       " -- ${CPACK_DEBIAN_PACKAGE_MAINTAINER}  ${today}\n")
  if(lintian_${component})
    file(WRITE ${share}/lintian/overrides/${package} "${lintian_${component}}\n")
  endif()
  file(GLOB pages ${share}/man/man*/*)
  execute_process(COMMAND gzip -9n ${share}/doc/${package}/changelog ${pages}
                  COMMAND_ERROR_IS_FATAL ANY)
endforeach()
